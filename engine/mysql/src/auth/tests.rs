use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use proptest::prelude::*;
use rand::SeedableRng;

use super::*;

const SALT: [u8; NATIVE_BYTES] = *b"01234567890123456789";

fn native_proof<'a>(response: &'a [u8]) -> Proof<'a> {
    Proof::Native {
        scramble_response: response,
        salt: &SALT,
    }
}

/// `SELECT PASSWORD('root')` of MySQL 5.7.
#[test]
fn stage2_is_what_mysql_stores() {
    let stored: String = native_stage2(b"root")
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert_eq!(stored, "81F5E21E35407D884A6CD4A731AEBFB6AF209E1B");
}

#[test]
fn an_empty_proof_never_verifies() {
    for password in [b"".as_slice(), b"secret"] {
        let stored = native_stage2(password);
        assert!(!verify_native(&stored, &native_proof(b"")));
        assert!(!verify_native(&stored, &Proof::ClearPassword(b"")));
    }
}

#[test]
fn a_response_of_another_length_is_refused() {
    let stored = native_stage2(b"secret");
    assert!(!verify_native(&stored, &native_proof(&[7; 19])));
    assert!(!verify_native(&stored, &native_proof(&[7; 21])));
}

#[test]
fn proofs_do_not_print_the_password() {
    assert_eq!(format!("{:?}", Proof::ClearPassword(b"secret")), "ClearPassword(…)");
}

#[test]
fn salts_hold_no_byte_that_a_client_would_misread() {
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for _ in 0..1_000 {
        let salt = new_salt(&mut random);
        assert!(salt.iter().all(|byte| (1..=127).contains(byte) && *byte != b'$'));
    }
}

proptest! {
    #[test]
    fn only_the_right_password_verifies(password in ".{1,40}", other in ".{1,40}") {
        let stored = native_stage2(password.as_bytes());
        let right = scramble_native(&SALT, password.as_bytes()).expect("a scramble of a password");
        prop_assert!(verify_native(&stored, &native_proof(&right)));
        prop_assert!(verify_native(&stored, &Proof::ClearPassword(password.as_bytes())));
        prop_assume!(other != password);
        let wrong = scramble_native(&SALT, other.as_bytes()).expect("a scramble of a password");
        prop_assert!(!verify_native(&stored, &native_proof(&wrong)));
        prop_assert!(!verify_native(&stored, &Proof::ClearPassword(other.as_bytes())));
    }
}
