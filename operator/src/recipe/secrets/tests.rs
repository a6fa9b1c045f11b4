use std::collections::BTreeSet;

use super::*;

fn needs(sample: &str) -> Result<Vec<SecretNeed>, SecretError> {
    let sample = EnvSample::parse(sample);
    let env = sample
        .entries
        .iter()
        .map(|entry| (entry.key.clone(), "v1".to_owned()))
        .collect();
    secret_needs(&sample, &env, "kc_example_org")
}

fn only(comment: &str) -> Result<SecretNeed, SecretError> {
    Ok(needs(&format!("SECRET_DB_PASSWORD_VERSION=v1 {comment}"))?.remove(0))
}

#[test]
fn a_need_should_have_swarms_name() {
    let need = only("# length=32 charset=hex").unwrap();
    assert_eq!(need.name, "db_password");
    assert_eq!(need.env_var, "SECRET_DB_PASSWORD_VERSION");
    assert_eq!(need.swarm_name, "kc_example_org_db_password_v1");
    assert_eq!(
        need.source,
        SecretSource::Characters {
            length: 32,
            alphabet: HEX.to_owned()
        }
    );
}

#[test]
fn other_variables_should_be_no_secrets() {
    assert!(
        needs("SECRET_X=1\nDB_VERSION=v1\nSECRET__VERSION=v1\n#SECRET_OFF_VERSION=v1")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn values_should_have_the_length_and_characters_asked_for() {
    let check = |comment: &str, length: usize, alphabet: &str| {
        let value = generate(&only(comment).unwrap()).unwrap();
        assert_eq!(value.len(), length, "{comment}");
        assert!(
            value.chars().all(|c| alphabet.contains(c)),
            "{comment}: {value}"
        );
    };
    assert_eq!(DEFAULT.len(), 57);
    assert_eq!(DEFAULT.chars().collect::<BTreeSet<_>>().len(), 57);
    check("# length=2000", 2000, DEFAULT);
    check("# length=32 charset=hex", 32, HEX);
    check("# length=2000 charset=alnum", 2000, ALNUM);
    check(
        "# length=2000 charset=special",
        2000,
        &format!("{DEFAULT}{SPECIAL}"),
    );
    check(
        "# length=2000 charset=default,safespecial",
        2000,
        &format!("{DEFAULT}{SAFE_SPECIAL}"),
    );
}

#[test]
fn a_secret_without_length_should_be_a_passphrase() {
    let need = only("").unwrap();
    let value = generate(&need).unwrap();
    assert_eq!(value.split('-').count(), 6);
    assert_eq!(value.len(), 41);
    assert_ne!(value, generate(&need).unwrap());
}

#[test]
fn every_character_should_be_as_likely_as_any_other() {
    for alphabet in [
        DEFAULT.to_owned(),
        ALNUM.to_owned(),
        HEX.to_owned(),
        alphabet("special").unwrap(),
    ] {
        // All 256 bytes once: each character must come up equally often.
        let mut bytes = 0..=255u8;
        let mut counts = BTreeMap::new();
        while let Ok(c) = choose(alphabet.as_bytes(), || {
            bytes.next().ok_or(SecretError::Random(String::new()))
        }) {
            *counts.entry(c).or_insert(0) += 1;
        }
        let expected = 256 / alphabet.len();
        assert_eq!(counts.len(), alphabet.len());
        assert!(
            counts.values().all(|count| *count == expected),
            "{counts:?}"
        );
    }
}

#[test]
fn a_missing_secret_should_be_told_in_the_usual_words() {
    let (made, inserted) = (
        only("# length=8").unwrap(),
        only("#generate=false").unwrap(),
    );
    assert_eq!(
        missing(&made).to_string(),
        "secret not generated: db_password"
    );
    assert_eq!(
        missing(&inserted).to_string(),
        "secret not inserted (#generate=false): db_password"
    );
    assert_eq!(
        generate(&inserted).unwrap_err().to_string(),
        "secret not inserted (#generate=false): db_password"
    );
}

#[test]
fn what_a_recipe_gets_wrong_should_be_an_error_and_not_a_weak_secret() {
    for (comment, part) in [
        ("# length=0", "length=0"),
        ("# length=99999", "length=99999"),
        ("# length=long", "length=long"),
        ("# length=8 charset=emoji", "charset=emoji"),
    ] {
        let error = only(comment).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.contains("SECRET_DB_PASSWORD_VERSION"),
            "{error}"
        );
    }
    let long = format!("SECRET_{}_VERSION=v1", "X".repeat(60));
    assert!(
        needs(&long)
            .unwrap_err()
            .to_string()
            .contains("64 characters")
    );
}

#[test]
fn only_secrets_that_the_files_use_should_be_needed() {
    let compose = "
secrets:
  db:
    external: true
    name: ${STACK_NAME}_db_password_${SECRET_DB_PASSWORD_VERSION}
  admin:
    external: true
    name: $STACK_NAME_x
  short:
    external: true
    name: ${STACK_NAME}_adm_${SECRET_ADMIN_PASSWORD_VERSION:-v1}
";
    let view = ComposeView::read(&[("compose.yml".to_owned(), compose.to_owned())]);
    let all = needs("SECRET_DB_PASSWORD_VERSION=v1\nSECRET_ADMIN_PASSWORD_VERSION=v1\nSECRET_SMTP_PASSWORD_VERSION=v1").unwrap();
    assert_eq!(all.len(), 3);
    let used = used_secrets(all, &view, "s").unwrap();
    let names: Vec<&str> = used.iter().map(|need| need.swarm_name.as_str()).collect();
    assert_eq!(names, ["s_adm_v1", "s_db_password_v1"]);
}
