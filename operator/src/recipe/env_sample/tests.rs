use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn resolve(sample: &str, overrides: &[(&str, &str)]) -> RecipeEnv {
    let (abra_versions, overrides) = (map(&[("APP_CONF_VERSION", "v4")]), map(overrides));
    EnvSample::parse(sample).resolve(EnvInputs {
        recipe: "keycloak",
        domain: "kc.example.org",
        stack: "kc_example_org",
        abra_versions: &abra_versions,
        overrides: &overrides,
    })
}

fn value(sample: &str, key: &str) -> String {
    resolve(sample, &[])
        .get(key)
        .cloned()
        .unwrap_or_else(|| "(unset)".to_owned())
}

#[test]
fn lines_should_be_read_as_dotenv() {
    let check = |line: &str, expected: &str| assert_eq!(value(line, "A"), expected, "{line}");
    check("A=b", "b");
    check("export A=b", "b");
    check("  A = b ", "b");
    check("A=", "");
    check("A= # nothing", "");
    check("A=b c # comment", "b c");
    check("A=b#c", "b#c");
    check("A=#b", "#b");
    check("A=\"b # c\" # comment", "b # c");
    check("A='$B \\n' # comment", "$B \\n");
    check("A=\"b\\n\\\"c\\\" \\$D \\\\\"", "b\n\"c\" $D \\");
    check("A=x=y", "x=y");
    check("A=`www.example.com`", "`www.example.com`");
    check("#A=b", "(unset)");
    check("A=b\r\n", "b");
    check("\u{feff}A=b", "b");
    check("A=$$x", "$");
    check("A=50$", "50$");
    check("A=${B", "${B");
}

#[test]
fn names_should_stand_for_what_was_set_before() {
    assert_eq!(value("B=1\nA=\"$B-${B}\"\nB=2", "A"), "1-1");
    assert_eq!(value("A=$HOME", "A"), "");
    assert_eq!(
        value("DOMAIN=example.com\nA=https://$DOMAIN/", "A"),
        "https://kc.example.org/"
    );
}

#[test]
fn lines_that_are_no_assignments_should_be_named() {
    let sample = EnvSample::parse(
        "# prose with = in it\n\nA=1\nnonsense\n1B=2\nC=\"open\nD='x' y\n#E=1 # length=7\n",
    );
    let lines: Vec<usize> = sample.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 5, 6, 7]);
    assert_eq!(sample.commented.len(), 1);
    assert_eq!(sample.entries.len(), 1);
}

#[test]
fn modifiers_should_come_from_trailing_comments() {
    let sample = EnvSample::parse(
        "SECRET_A_VERSION=v1 # length=32 charset=hex\nSECRET_B_VERSION=v1 #generate=false\n# SECRET_C_VERSION=v1 # length=5\nSECRET_D_VERSION=v1 # https://x/?A=b see",
    );
    assert_eq!(
        sample.modifiers("SECRET_A_VERSION"),
        map(&[("charset", "hex"), ("length", "32")])
    );
    assert_eq!(
        sample.modifiers("SECRET_B_VERSION"),
        map(&[("generate", "false")])
    );
    assert_eq!(
        sample.modifiers("SECRET_C_VERSION"),
        map(&[("length", "5")])
    );
    assert_eq!(sample.modifiers("SECRET_D_VERSION"), map(&[]));
}

#[test]
fn compose_files_should_be_a_list_that_can_name_itself() {
    let check = |sample: &str, own: &[(&str, &str)], expected: &[&str]| {
        assert_eq!(compose_files(&resolve(sample, own)), expected, "{sample}");
    };
    check("", &[], &["compose.yml"]);
    check("COMPOSE_FILE=", &[], &["compose.yml"]);
    check(
        "COMPOSE_FILE=\"compose.yml:compose/a.yml\"",
        &[],
        &["compose.yml", "compose/a.yml"],
    );
    check(
        "COMPOSE_FILE=\"$COMPOSE_FILE:compose.a.yml\"",
        &[],
        &["compose.yml", "compose.a.yml"],
    );
    check(
        "COMPOSE_FILE=base.yml\nCOMPOSE_FILE=\"$COMPOSE_FILE:a.yml\"\n#COMPOSE_FILE=\"$COMPOSE_FILE:b.yml\"",
        &[("COMPOSE_FILE", "${COMPOSE_FILE}:c.yml:a.yml")],
        &["base.yml", "a.yml", "c.yml"],
    );
    check(
        "COMPOSE_FILE=base.yml",
        &[("COMPOSE_FILE", "only.yml")],
        &["only.yml"],
    );
}

#[test]
fn the_users_values_should_win_and_be_taken_as_they_stand() {
    let env = resolve(
        "TIMEOUT=120\nLETS_ENCRYPT_ENV=production\nURL=x$TIMEOUT\nAPP_CONF_VERSION=v1",
        &[("TIMEOUT", "600"), ("P", "a$b")],
    );
    let expected = map(&[
        ("APP_CONF_VERSION", "v4"),
        ("COMPOSE_FILE", "compose.yml"),
        ("DOMAIN", "kc.example.org"),
        ("LETS_ENCRYPT_ENV", "production"),
        ("P", "a$b"),
        ("STACK_NAME", "kc_example_org"),
        ("TIMEOUT", "600"),
        ("TYPE", "keycloak"),
        ("URL", "x600"),
    ]);
    assert_eq!(env, expected);
    assert_eq!(
        resolve("", &[("APP_CONF_VERSION", "v9")])["APP_CONF_VERSION"],
        "v9"
    );
    assert_eq!(value("TYPE=other:1.0.0+1", "TYPE"), "other:1.0.0+1");
}

#[test]
fn a_stack_should_be_named_by_its_domain() {
    assert_eq!(
        stack_name("warm-keycloak.ci.example.org"),
        "warm-keycloak_ci_example_org"
    );
    assert_eq!(stack_name(&"a".repeat(80)).len(), 45);
}

#[test]
fn only_plain_versions_should_be_read_from_abra_sh() {
    let script = "#!/bin/bash\nexport A_VERSION=v1\n  export B_VERSION=\"v2\" # two\nexport C_VERSION=$(date)\nexport D_VERSION=v3; rm -rf /\nexport PATH=/x\nE_VERSION=v5\nexport F_VERSION='v6'\nexport G_VERSION=`id`\n#export H_VERSION=v1\n";
    let expected = map(&[
        ("A_VERSION", "v1"),
        ("B_VERSION", "v2"),
        ("D_VERSION", "v3"),
        ("F_VERSION", "v6"),
    ]);
    assert_eq!(abra_versions(script), expected);
}

proptest! {
    #[test]
    fn no_text_should_make_it_panic(text in "([A-C$#='\"\\\\ {}\n]|é){0,40}") {
        let sample = EnvSample::parse(&text);
        let empty = BTreeMap::new();
        sample.resolve(EnvInputs { recipe: "r", domain: "d", stack: "s", abra_versions: &empty, overrides: &empty });
        abra_versions(&format!("export {text}"));
    }
}
