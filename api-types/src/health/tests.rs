use super::*;

fn parse(yaml: &str) -> HealthSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

/// The fields that validation complains about.
fn fields(yaml: &str) -> Vec<String> {
    parse(yaml)
        .validate()
        .into_iter()
        .map(|invalid| invalid.field)
        .collect()
}

const EXAMPLE: &str = r#"
http: { url: "https://${DOMAIN}/realms/master", status: [200], resolve: "127.0.0.1:443", tls: { insecureSkipVerify: true } }
deadline: 15m
"#;

#[test]
fn the_documented_example_stands_with_its_defaults() {
    let spec = parse(EXAMPLE);
    assert_eq!(spec.validate(), []);
    assert_eq!(spec.interval, Span::from_secs(2));
    assert_eq!(spec.timeout, Span::from_secs(10));
    assert_eq!(spec.success_threshold.get(), 3);
    assert_eq!(spec.failure_threshold.get(), 3);
    assert_eq!(spec.deadline, Span::from_mins(15));
    let http = spec.http.unwrap();
    assert!(http.tls.unwrap().insecure_skip_verify);
    assert!(!http.allow_foreign_host);
    assert_eq!(http.method, HttpMethod::Get);
}

#[test]
fn every_field_reads_and_writes_back() {
    let spec = parse(
        r#"
http:
  url: https://${DOMAIN}:${PORT}/health?x=$$1
  status: [200, 204, 302]
  resolve: "[::1]:8443"
  tls: { caFile: /etc/ssl/own.pem }
  body: { contains: ok, regex: '^\{"status"' }
  method: POST
  headers: { Host: other.example.org, X-Token: "${TOKEN}" }
  allowForeignHost: true
tcp: { address: "[::1]:5432" }
exec: { service: db, command: [pg_isready, -q] }
interval: 500ms
timeout: 3s
successThreshold: 5
failureThreshold: 2
deadline: 1h30m
"#,
    );
    assert_eq!(spec.validate(), []);
    let written = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<HealthSpec>(&written).unwrap(), spec);
}

#[test]
fn a_spec_without_a_probe_is_refused() {
    assert_eq!(fields("deadline: 15m"), [""]);
}

#[test]
fn wrong_values_are_named_by_field() {
    for (yaml, field) in [
        ("http: { url: ftp://a.example.org }", "http.url"),
        ("http: { url: a.example.org }", "http.url"),
        ("http: { url: 'https://' }", "http.url"),
        ("http: { url: 'https:///path' }", "http.url"),
        ("http: { url: 'https://a.example.org:99999/' }", "http.url"),
        ("http: { url: 'https://a.example.org:0/' }", "http.url"),
        ("http: { url: 'https://a b/' }", "http.url"),
        ("http: { url: 'https://${DOMAIN/' }", "http.url"),
        ("http: { url: 'https://${DOMAIN:-x}/' }", "http.url"),
        ("http: { url: 'https://a/', status: [] }", "http.status"),
        (
            "http: { url: 'https://a/', status: [200, 99] }",
            "http.status[1]",
        ),
        (
            "http: { url: 'https://a/', status: [600] }",
            "http.status[0]",
        ),
        (
            "http: { url: 'https://a/', resolve: 127.0.0.1 }",
            "http.resolve",
        ),
        (
            "http: { url: 'https://a/', resolve: 'localhost:443' }",
            "http.resolve",
        ),
        (
            "http: { url: 'https://a/', resolve: '127.0.0.1:0' }",
            "http.resolve",
        ),
        (
            "http: { url: 'https://10.0.0.1/', resolve: '127.0.0.1:1' }",
            "http.resolve",
        ),
        (
            "http: { url: 'https://[::1]:2/', resolve: '127.0.0.1:1' }",
            "http.resolve",
        ),
        ("http: { url: 'http://a/', tls: {} }", "http.tls"),
        (
            "http: { url: 'https://a/', tls: { caFile: own.pem } }",
            "http.tls.caFile",
        ),
        (
            "http: { url: 'https://a/', tls: { caFile: /a, insecureSkipVerify: true } }",
            "http.tls.caFile",
        ),
        ("http: { url: 'https://a/', body: {} }", "http.body"),
        (
            "http: { url: 'https://a/', body: { contains: '' } }",
            "http.body.contains",
        ),
        (
            "http: { url: 'https://a/', body: { regex: '(' } }",
            "http.body.regex",
        ),
        (
            "http: { url: 'https://a/', method: HEAD, body: { contains: a } }",
            "http.body",
        ),
        (
            "http: { url: 'https://a/', headers: { 'a b': c } }",
            "http.headers.a b",
        ),
        (
            "http: { url: 'https://a/', headers: { a: \"b\\nc\" } }",
            "http.headers.a",
        ),
        (
            "http: { url: 'https://a/', headers: { a: b, A: b } }",
            "http.headers.a",
        ),
        ("tcp: { address: db }", "tcp.address"),
        ("tcp: { address: ':5432' }", "tcp.address"),
        ("tcp: { address: 'db:0' }", "tcp.address"),
        ("tcp: { address: '::1:5432' }", "tcp.address"),
        ("exec: { command: [] }", "exec.command"),
        ("exec: { command: [''] }", "exec.command"),
        ("exec: { service: a/b, command: [true] }", "exec.service"),
        (
            "tcp: { address: 'db:1' }\ninterval: 1m\nsuccessThreshold: 16",
            "deadline",
        ),
        (
            "tcp: { address: 'db:1' }\ninterval: 30d\nsuccessThreshold: 4294967295",
            "deadline",
        ),
    ] {
        assert_eq!(fields(yaml), [field], "{yaml}");
    }
}

#[test]
fn variables_keep_a_text_open_until_they_have_values() {
    for yaml in [
        "http: { url: '${URL}' }",
        "http: { url: 'https://${HOST}:${PORT}/${PATH}' }",
        "http: { url: 'https://${HOST}/', resolve: '${IP}:443' }",
        "tcp: { address: '${DB}' }",
        "tcp: { address: '${DB}:${PORT}' }",
    ] {
        assert_eq!(parse(yaml).validate(), [], "{yaml}");
    }
}

#[test]
fn misspelt_fields_and_wrong_types_do_not_parse() {
    for yaml in [
        "htpp: { url: 'https://a/' }",
        "http: { url: 'https://a/', stauts: [200] }",
        "http: { url: 'https://a/', tls: { insecure: true } }",
        "http: { url: 'https://a/', method: get }",
        "http: {}",
        "exec: {}",
        "tcp: { address: 'a:1' }\nsuccessThreshold: 0",
        "tcp: { address: 'a:1' }\ninterval: 0s",
    ] {
        assert!(
            serde_saphyr::from_str::<HealthSpec>(yaml).is_err(),
            "{yaml}"
        );
    }
}

#[test]
fn every_field_has_a_description_in_the_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(HealthSpec)).unwrap();
    let mut types = vec![&schema];
    types.extend(schema["$defs"].as_object().unwrap().values());
    for one in types {
        for (name, property) in one["properties"].as_object().into_iter().flatten() {
            assert!(
                property["description"].is_string(),
                "{name} in {}",
                one["title"]
            );
        }
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["deadline"]["default"], "15m");
    assert_eq!(schema["properties"]["successThreshold"]["minimum"], 1);
}

#[test]
fn variables_are_filled_in() {
    let env = |name: &str| match name {
        "DOMAIN" => Some("a.example.org".to_owned()),
        "ODD" => Some("${DOMAIN}".to_owned()),
        _ => None,
    };
    assert_eq!(
        expand("https://${DOMAIN}/", env).unwrap(),
        "https://a.example.org/"
    );
    assert_eq!(expand("$${DOMAIN} $5 $", env).unwrap(), "${DOMAIN} $5 $");
    assert_eq!(expand("${ODD}", env).unwrap(), "${DOMAIN}");
    assert_eq!(
        expand("${NONE}", env),
        Err(ExpandError::Unset("NONE".to_owned()))
    );
    assert_eq!(expand("a${DOMAIN", env), Err(ExpandError::Unclosed));
    assert_eq!(expand("${}", env), Err(ExpandError::BadName(String::new())));
    assert_eq!(
        expand("${1A}", env),
        Err(ExpandError::BadName("1A".to_owned()))
    );
}
