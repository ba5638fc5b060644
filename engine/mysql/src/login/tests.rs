use mysql_common::packets::{ComChangeUserMoreData, SslRequest};
use proptest::prelude::*;

use super::*;

const SALT: [u8; NATIVE_BYTES] = *b"abcdefghijklmnopqrst";

fn response(plugin: AuthPlugin<'static>, capabilities: CapabilityFlags) -> Vec<u8> {
    let mut payload = Vec::new();
    HandshakeResponse::new(
        Some([7_u8; 20].to_vec()),
        (8, 0, 33),
        Some(b"ana".to_vec()),
        Some(b"sales".to_vec()),
        Some(plugin),
        capabilities,
        Some(HashMap::from([("program_name".to_owned(), "test".to_owned())])),
        1 << 24,
    )
    .serialize(&mut payload);
    payload
}

fn usual() -> CapabilityFlags {
    CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
}

#[test]
fn the_greeting_has_these_bytes() {
    let expected = [
        b"\x0a8.0.33-springtide-0.1.0\0".as_slice(),
        &7_u32.to_le_bytes(),
        b"abcdefgh\0",
        &[0x0f, 0xa7],
        &[45],
        &[2, 0],
        &[0x3f, 0x01],
        &[21],
        &[0; 10],
        b"ijklmnopqrst\0",
        b"mysql_native_password\0",
    ]
    .concat();
    assert_eq!(greeting("8.0.33-springtide-0.1.0", 7, &SALT, false), expected);
}

/// The packet that a StarRocks frontend sent (`starrocks-golden/00-handshake.json`): ours must have the same shape, and
/// offer everything that it offers.
#[test]
fn the_greeting_is_shaped_as_that_of_starrocks() {
    const STARROCKS: &[u8] = b"\x0a8.0.33\0\x02\0\0\x01J^PKqia_\0\x0c\x82\x21\0\0\x38\0\x15\0\0\0\0\0\0\0\0\0\0MaeuTfSlUIWY\0mysql_native_password\0";
    let theirs: HandshakePacket<'_> = ParseBuf(STARROCKS).parse(()).expect("a recorded greeting");
    let bytes = greeting("8.0.33", 1, &SALT, true);
    let ours: HandshakePacket<'_> = ParseBuf(&bytes).parse(()).expect("our greeting");
    assert_eq!(ours.protocol_version(), theirs.protocol_version());
    assert_eq!(ours.auth_plugin_name_ref(), theirs.auth_plugin_name_ref());
    assert_eq!(ours.nonce().len(), theirs.nonce().len());
    assert_eq!(
        ours.scramble_2_ref().map(<[u8]>::len),
        theirs.scramble_2_ref().map(<[u8]>::len)
    );
    assert!(ours.capabilities().contains(theirs.capabilities()));
    assert!(ours.capabilities().contains(CapabilityFlags::CLIENT_SSL));
}

#[test]
fn a_login_is_read() {
    let payload = response(AuthPlugin::MysqlNativePassword, usual());
    let (capabilities, login) = read_login(&payload).expect("well formed");
    assert!(capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB));
    assert_eq!(
        (
            login.user.as_str(),
            login.database.as_deref(),
            login.method,
            login.response.as_slice()
        ),
        ("ana", Some("sales"), Method::Native, [7; 20].as_slice())
    );
    assert_eq!(login.attributes["program_name"], "test");
    let other = response(AuthPlugin::CachingSha2Password, usual());
    assert!(read_login(&other).expect("well formed").1.method == Method::Other);
}

#[test]
fn clients_too_old_or_not_mysql_are_told_so() {
    let error = |payload: &[u8]| read_login(payload).err().expect("refused").code;
    assert_eq!(error(b""), codes::BAD_HANDSHAKE);
    assert_eq!(error(b"GET / HTTP/1.1\r\nHost: fe\r\n\r\n"), codes::BAD_HANDSHAKE);
    let old = response(AuthPlugin::MysqlNativePassword, CapabilityFlags::CLIENT_PROTOCOL_41);
    assert_eq!(error(&old), codes::OLD_AUTHENTICATION);
    let mut cut = response(AuthPlugin::MysqlNativePassword, usual());
    cut.truncate(40);
    assert_eq!(error(&cut), codes::BAD_HANDSHAKE);
}

#[test]
fn a_request_for_tls_is_only_the_head_of_a_login() {
    let mut request = Vec::new();
    SslRequest::new(usual() | CapabilityFlags::CLIENT_SSL, 1 << 24, 45).serialize(&mut request);
    assert!(is_ssl_request(&request));
    let login = response(AuthPlugin::MysqlNativePassword, usual() | CapabilityFlags::CLIENT_SSL);
    assert!(!is_ssl_request(&login));
}

#[test]
fn a_change_of_user_is_read() {
    let capabilities = usual() | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    let mut payload = Vec::new();
    ComChangeUser::new()
        .with_user(Some(b"bob".to_vec()))
        .with_database(Some(b"finance".to_vec()))
        .with_auth_plugin_data(Some(vec![1; 20]))
        .with_more_data(Some(
            ComChangeUserMoreData::new(45).with_auth_plugin(Some(AuthPlugin::CachingSha2Password)),
        ))
        .serialize(&mut payload);
    let login = read_change_user(&payload, capabilities).expect("well formed");
    assert_eq!(
        (login.user.as_str(), login.database.as_deref(), login.method),
        ("bob", Some("finance"), Method::Other)
    );
    assert!(login.response.is_empty(), "an answer to an old salt counts for nothing");
    let without = read_change_user(&payload, usual()).err().expect("refused");
    assert_eq!(without.code, codes::OLD_AUTHENTICATION);
}

proptest! {
    #[test]
    fn no_login_panics(flags: u32, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        let payload = [&flags.to_le_bytes()[..], &rest].concat();
        let _ = read_login(&payload);
        let _ = read_change_user(&payload, CapabilityFlags::from_bits_truncate(flags));
        let _ = is_ssl_request(&payload);
    }
}
