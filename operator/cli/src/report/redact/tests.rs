#![allow(clippy::needless_pass_by_value, reason = "calls read better without a borrow")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What a planted secret begins and ends with.
const BEGIN: &str = "Zq7";
const END: &str = "7qZ";

const ALL: Redaction = Redaction {
    keep_sql_literals: false,
};
const KEEPING: Redaction = Redaction {
    keep_sql_literals: true,
};

/// Where a secret of letters, digits and some signs is found in texts. `{}` is the secret.
const TEXTS: &[&str] = &[
    "password={}",
    "password: {}",
    "DB_PASSWORD='{}'",
    "user=password={}",
    "secretName=x,password={}",
    r#""password":"{}""#,
    r#""apiKey" : "{}","next":1"#,
    r#"{\"token\":\"{}\",\"next\":1}"#,
    r#"config["secret"] = "{}""#,
    r#""password" => "{}""#,
    "password: Some(\"{}\")",
    "Password(\"{}\") for token=Token({})",
    "login --token {} --verbose",
    "login --token={}",
    r#"args: ["--secret-key", "{}"]"#,
    "mysql -uroot -p{} -h db",
    "mysql://root:{}@db:9030/x",
    "mysql://root:{}/with@signs@db:9030/x?a=b",
    "clone https://{}@example.com/x",
    "first http://a/b,http://u:{}@c/d",
    "root:{}@tcp(db:3306)/x",
    "https://s3/b/k?X-Amz-Signature={}&x=1",
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    r#""Authorization": "Digest username=x, response={}""#,
    "Proxy-Authorization: AWS4-HMAC-SHA256 Credential=x, Signature={}",
    "Cookie: a=b; session={}",
    "sent bearer {}, refused",
    "GET /drain/{} HTTP/1.1",
    "CREATE USER a IDENTIFIED BY '{}'",
    "create user a identified with mysql_native_password as \"{}\"",
    "ALTER USER a IDENTIFIED BY '{}",
    "SET PASSWORD FOR 'a'@'%' = PASSWORD('{}')",
    "SET PASSWORD FOR a = '{}'",
    r#"FILES("path" = "s3://b/k", "aws.s3.secret_key" = "{}")"#,
    "aws_secret_access_key = {}",
    "the password is '{}'",
    "<password>{}</password>",
    "name: API_TOKEN\n  value: {}",
    r#""name":"API_TOKEN","value":"{}""#,
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nabc\n{}",
];

/// Where any text is a secret, in JSON.
fn planted(place: usize, secret: &str) -> Value {
    match place % PLACES {
        0 => json!({"password": secret}),
        1 => json!({"env": [{"name": "DB_TOKEN", "value": secret}]}),
        2 => json!(["--password", secret]),
        3 => json!({"credentials": {"anything": {"deep": ["x", {"y": secret}]}}}),
        4 => json!({"httpHeaders": [{"name": "Authorization", "value": secret}]}),
        5 => json!({"AWS_SECRET_ACCESS_KEY": secret, "secretRef": {"name": "storage"}}),
        6 => json!({"tls.key": secret}),
        7 => json!({"secret": secret}),
        8 => json!({"accessKeyId": secret}),
        9 => json!({"auths": {"registry": {"auth": secret}}}),
        10 => json!({"message": format!("refused: IDENTIFIED BY {}", quoted(secret))}),
        11 => json!({"secret": {"name": "storage", "value": secret}}),
        _ => json!({"kind": "x", "token": {"secretName": "fine", "value": secret}}),
    }
}

const PLACES: usize = 13;

/// As SQL writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn wrapped(how: usize, value: Value) -> Value {
    match how % 6 {
        0 => json!({"spec": value}),
        1 => json!({"list": [1, value, "x"], "flag": true}),
        2 => json!({"data": {"engine.json": value.to_string()}}),
        3 => json!({"data": {"engine.json": format!("{value:#}\n")}}),
        4 => json!({"metadata": {"labels": {"a": "b"}, "annotations": {"example.com/previous": value.to_string()}}}),
        _ => json!({"a": {"b": {"c": value}}, "name": "x"}),
    }
}

#[track_caller]
fn shows_nothing(text: &str, from: &str) {
    assert!(!text.contains(BEGIN) && !text.contains(END), "{text}\nfrom {from}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_secret_in_a_text_never_comes_out(
        secret in "[A-Za-z0-9_.~+*!]{4,24}",
        place in 0..TEXTS.len(),
        before in prop::sample::select(vec!["", "2026-11-23T08:30:00Z WARN x=1 ", "the user said: ", "node 'a' is gone; "]),
        after in prop::sample::select(vec!["", " code=12", "\n", " and so on, it doesn't matter\n2026-11-23T08:30:01Z next\n"]),
        keep_sql_literals in any::<bool>(),
    ) {
        let secret = format!("{BEGIN}{secret}{END}");
        let text = format!("{before}{}{after}", TEXTS[place].replace("{}", &secret));
        let redaction = Redaction { keep_sql_literals };
        shows_nothing(&redaction.text(&text), &text);
        shows_nothing(&redaction.log(&text), &text);
        let line = json!({"level": "WARN", "fields": {"message": text, "count": 3}, "target": "springtide_fe"}).to_string();
        shows_nothing(&redaction.log(&format!("{line}\n")), &line);
        let mut object = json!({"kind": "Event", "message": text, "metadata": {"annotations": {"a": text}}});
        redaction.object(&mut object);
        shows_nothing(&object.to_string(), &text);
    }

    #[test]
    fn a_secret_in_an_object_never_comes_out(
        secret in "\\PC{4,24}",
        place in 0..PLACES,
        ways in proptest::collection::vec(0..6_usize, 0..5),
        keep_sql_literals in any::<bool>(),
    ) {
        let secret = format!("{BEGIN}{secret}{END}");
        let mut object = ways.into_iter().fold(planted(place, &secret), |value, how| wrapped(how, value));
        let text = object.to_string();
        let redaction = Redaction { keep_sql_literals };
        shows_nothing(&redaction.log(&text), &text);
        redaction.object(&mut object);
        shows_nothing(&object.to_string(), &text);
        // Once more changes nothing.
        let once = object.clone();
        redaction.object(&mut object);
        prop_assert_eq!(once, object);
    }

    #[test]
    fn no_text_makes_it_fail(text in "\\PC{0,200}", lines in "[ -~\n]{0,200}") {
        let _log = ALL.log(&text);
        let _log = ALL.log(&lines);
    }
}

#[test]
fn every_place_is_one_where_the_secret_would_be_seen() {
    for text in TEXTS {
        assert!(text.contains("{}"), "{text}");
    }
    for place in 0..PLACES {
        assert!(planted(place, "Zq7-x-7qZ").to_string().contains("Zq7-x-7qZ"));
    }
}

#[test]
fn keys_and_tokens_are_known_by_their_looks() {
    for (text, expected) in [
        ("used AKIAIOSFODNN7EXAMPLE today", "used <redacted> today"),
        (
            "secret of the bucket wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ends",
            "secret of the bucket <redacted> ends",
        ),
        (
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY is the secret",
            "<redacted> is the secret",
        ),
        ("jwt eyJhbGciOi.eyJzdWIiOi.sig-x_y.", "jwt <redacted>"),
        ("push with ghp_abcdefghij0123456789", "push with <redacted>"),
    ] {
        assert_eq!(ALL.text(text), expected);
    }
}

#[test]
fn what_helps_stays() {
    for text in [
        r#"MountVolume.SetUp failed for volume "admin" : secret "lake-admin" not found"#,
        "couldn't find key secret-access-key in Secret retail/storage",
        "Access denied for user 'ada' (using password: YES)",
        r#"pods "etl-cn-0" is forbidden: exceeded quota: department, requested: requests.cpu=4, used: requests.cpu=8"#,
        "0/3 nodes are available: 3 Insufficient cpu",
        "pulling springtide.dev/engine:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "connect to http://s3.storage.svc:8333/retail/lake?list-type=2: connection refused",
        "springtide_controller::secret::read: imagePullSecrets=pull adminSecret: lake-admin secretName=storage",
        "2026-11-23T08:30:00.123Z  INFO springtide_fe::core: replayed the journal records=12",
    ] {
        assert_eq!(ALL.text(text), text);
        assert_eq!(ALL.log(text), text);
    }
}

#[test]
fn an_object_keeps_its_shape_and_the_names_of_secrets() {
    let mut object = json!({
        "kind": "Pod",
        "metadata": {
            "name": "lake-fe-0",
            "managedFields": [{"manager": "x"}],
            "annotations": {LAST_APPLIED: "{\"password\":\"x\"}", "springtide.dev/files": "lake-engine-1"},
        },
        "spec": {
            "containers": [{
                "name": "engine",
                "args": ["fe", "--token-file", "/run/token", "--password", "hunter2"],
                "env": [
                    {"name": "POD_NAME", "value": "lake-fe-0"},
                    {"name": "API_KEY", "value": "hunter2"},
                    {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "storage", "key": "secret-access-key"}}},
                ],
                "lifecycle": {"preStop": {"httpGet": {"path": "/drain/0123abcd", "port": 9070}}},
            }],
            "volumes": [{"name": "admin", "secret": {"secretName": "lake-admin", "items": [{"key": "password", "path": "password"}]}}],
            "imagePullSecrets": [{"name": "pull"}],
            "automountServiceAccountToken": false,
            "storage": {"credentials": {
                "secretRef": {"name": "storage", "accessKeyIdKey": "access-key-id", "secretAccessKeyKey": "secret-access-key"},
                "serviceAccountName": "engine",
            }},
            "tolerations": [{"key": "example.com/dedicated", "operator": "Equal", "value": "bi"}],
            "hard": {"secrets": "10", "requests.cpu": "8"},
        },
        "status": {"adminSecret": "lake-admin"},
    });
    let mut expected = object.clone();
    expected["metadata"] = json!({"name": "lake-fe-0", "annotations": {"springtide.dev/files": "lake-engine-1"}});
    expected["spec"]["containers"][0]["args"][4] = json!(REDACTED);
    expected["spec"]["containers"][0]["env"][1]["value"] = json!(REDACTED);
    expected["spec"]["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"] = json!("/drain/<redacted>");
    ALL.object(&mut object);
    assert_eq!(object, expected);
}

#[test]
fn a_secret_itself_loses_its_values() {
    let mut object = json!({"kind": "Secret", "metadata": {"name": "storage"}, "data": {"username": "YWRh"}, "stringData": {"a": "b"}});
    ALL.object(&mut object);
    assert_eq!(object, json!({"kind": "Secret", "metadata": {"name": "storage"}}));
}

#[test]
fn what_is_no_object_is_no_trouble() {
    for mut value in [json!(null), json!([1]), json!("x"), json!({})] {
        let before = value.clone();
        ALL.object(&mut value);
        assert_eq!(value, before);
    }
}

#[test]
fn a_template_in_an_annotation_loses_the_key_of_its_hook() {
    let template = r#"{"spec":{"lifecycle":{"preStop":{"httpGet":{"path":"/drain/0123abcd"}}}}}"#;
    let mut object = json!({"metadata": {"annotations": {"springtide.dev/previous-template": template}}});
    ALL.object(&mut object);
    assert_eq!(
        object["metadata"]["annotations"]["springtide.dev/previous-template"],
        template.replace("0123abcd", REDACTED)
    );
}

#[test]
fn statements_in_logs_lose_their_literals_unless_they_are_kept() {
    let message = "statement failed: SELECT a FROM t WHERE name = 'Smith' AND age > 42";
    let masked = "statement failed: SELECT a FROM t WHERE name = ? AND age > ?";
    assert_eq!(ALL.log(message), masked);
    assert_eq!(KEEPING.log(message), message);
    let line = |message: &str| json!({"fields": {"message": message}, "level": "WARN"}).to_string() + "\n";
    assert_eq!(ALL.log(&line(message)), line(masked));
    assert_eq!(KEEPING.log(&line(message)), line(message));
    // Passwords are no literals that anybody keeps.
    assert_eq!(
        KEEPING.log("CREATE USER ada IDENTIFIED BY 'hunter2'"),
        "CREATE USER ada IDENTIFIED BY '<redacted>'"
    );
    let mut event = json!({"kind": "Event", "message": message, "note": "x"});
    ALL.object(&mut event);
    assert_eq!(event["message"], masked);
}

#[test]
fn lines_without_a_secret_stay_as_they_are_written() {
    let log = "{\"z\":1,\"a\":\"last is first\"}\n\n  at src/main.rs:1\n{\"level\":\"INFO\" , \"x\":[1, 2]}\r\nno end";
    assert_eq!(ALL.log(log), log);
    assert_eq!(ALL.log(""), "");
}

#[test]
fn a_statement_goes_on_in_the_lines_without_a_time() {
    let log =
        "2026-11-23 08:30:00 WARN failed: SELECT a\nFROM t\nWHERE b = 'Smith'\n2026-11-23 08:30:01 INFO it's 'fine'\n";
    assert_eq!(
        ALL.log(log),
        "2026-11-23 08:30:00 WARN failed: SELECT a\nFROM t\nWHERE b = ?\n2026-11-23 08:30:01 INFO it's 'fine'\n"
    );
    let log = "I1123 08:30:00 SELECT 'a'\nW1123 08:30:00 it is 'fine'\n[2026/11/23 08:30:00] 'fine'\n";
    assert_eq!(ALL.log(log), log.replace("'a'", "?"));
}

#[test]
fn a_field_that_comes_twice_is_seen_twice() {
    assert_eq!(
        ALL.log(r#"{"password":"hunter2","password":null}"#),
        r#"{"password":"<redacted>","password":null}"#
    );
}

#[test]
fn a_key_of_which_the_beginning_was_cut_off_is_one() {
    assert_eq!(
        ALL.log("MIIEpAIBAAKCAQEA\nabc+/=\n-----END RSA PRIVATE KEY-----\nnext\n"),
        "<redacted>\nnext\n"
    );
}
