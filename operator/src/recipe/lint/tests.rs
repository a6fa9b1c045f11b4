use super::*;

fn findings(compose: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(String, String)> = compose
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("{index}.yml"), (*text).to_owned()))
        .collect();
    let env = env
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let sample = EnvSample::parse("");
    lint(Some(&sample), &env, &ComposeView::read(&files))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn check(compose: &[&str], env: &[(&str, &str)], expected: &[&str]) {
    let found = findings(compose, env);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

const GOOD: &str = "
x-healthcheck: &healthcheck
  healthcheck:
    test: [CMD, 'true']
services:
  app:
    <<: *healthcheck
    image: example.org:5000/app:1.2
    environment:
      - A=1
      - B
  db:
    <<: *healthcheck
    image: \"postgres:${PG_TAG:-15}\"
    environment:
      MODE: 'true'
      EMPTY:
      ANSWER: yes
      URL: ${URL}
configs:
  conf:
    name: ${STACK_NAME}_conf_${CONF_VERSION}
    file: conf.tmpl
";

#[test]
fn a_good_recipe_should_have_no_findings() {
    check(&[GOOD], &[("CONF_VERSION", "v1")], &[]);
}

#[test]
fn an_overlay_should_not_be_judged_alone() {
    check(
        &[GOOD, "services:\n  app:\n    environment:\n      C: d\n"],
        &[("CONF_VERSION", "v1")],
        &[],
    );
}

#[test]
fn what_is_missing_should_be_an_error_with_its_place() {
    check(
        &["services:\n  web:\n    healthcheck:\n      test: x\n"],
        &[],
        &[
            "error: 0.yml: there is no service `app`, only [web]",
            "error: 0.yml:3: service `web` has no image",
        ],
    );
    check(&[""], &[], &["error: 0.yml: there is no service `app`"]);
    check(
        &[GOOD],
        &[],
        &["error: 0.yml:22: config `conf` is named by CONF_VERSION"],
    );
    check(
        &[GOOD],
        &[("CONF_VERSION", "")],
        &["error: 0.yml:22: config `conf` is named by CONF_VERSION"],
    );
}

#[test]
fn what_is_unwise_should_be_a_warning() {
    let compose = "services:\n  app:\n    image: app\n  b:\n    image: b:latest\n    healthcheck: { disable: true }\n  c:\n    image: c:${TAG:-latest}\n    healthcheck: { test: x }\n";
    let expected = [
        "warning: 0.yml:3: service `app`: image `app` has no tag",
        "warning: 0.yml:3: service `app` has no healthcheck",
        "warning: 0.yml:5: service `b`: image `b:latest`",
        "warning: 0.yml:5: service `b` has its healthcheck switched off",
        "warning: 0.yml:8: service `c`: image",
    ];
    check(&[compose], &[], &expected);
    check(&[compose], &[("TAG", "1")], &expected[..4]);
}

#[test]
fn environment_values_should_be_text() {
    let compose = "services:\n  app:\n    image: a:1\n    healthcheck: { test: x }\n    environment:\n      A: true\n      B: 5\n      C: [x]\n  b:\n    image: a:1\n    healthcheck: { test: x }\n    environment:\n      - A: 1\n";
    check(
        &[compose],
        &[],
        &[
            "error: 0.yml:3: service `app`: A in `environment` is true",
            "error: 0.yml:3: service `app`: C in `environment` is [\"x\"]",
            "error: 0.yml:10: service `b`: an entry in `environment` is {\"A\":1}",
            "warning: 0.yml:3: service `app`: B in `environment` is 5",
        ],
    );
}

#[test]
fn hostile_yaml_should_be_an_error_that_names_the_file() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\nservices: {app: {image: *f}}\n";
    for text in [
        "services: [",
        "services: 5",
        "services:\n  app: {image: a:1}\n  app: {image: b:1}\n",
        bomb,
        "\u{0}",
    ] {
        let found = findings(&[text], &[]);
        assert!(
            found
                .iter()
                .any(|finding| finding.starts_with("error: 0.yml")
                    && finding.contains("cannot be read")),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_recipe_without_a_sample_should_be_refused() {
    let view = ComposeView::read(&[("compose.yml".to_owned(), GOOD.to_owned())]);
    let env = RecipeEnv::from([("CONF_VERSION".to_owned(), "v1".to_owned())]);
    let found = lint(None, &env, &view);
    assert!(refuses(&found));
    assert_eq!(found[0].rule, Rule::EnvSample);
    let sample = EnvSample::parse("A=1\nnonsense\n");
    let found = lint(Some(&sample), &env, &view);
    assert!(!refuses(&found));
    assert_eq!(
        (found[0].rule, found[0].line),
        (Rule::EnvSampleLine, Some(2))
    );
}

#[test]
fn tags_should_be_found_behind_ports_and_variables() {
    for (image, expected) in [
        ("app", None),
        ("host:5000/app", None),
        ("host:5000/app:1", Some("1")),
        ("app@sha256:abc", Some("sha256:abc")),
        ("app:${T:-1}", Some("${T:-1}")),
        ("${IMAGE:-app:1}", Some("${IMAGE:-app:1}")),
    ] {
        assert_eq!(tag(image), expected, "{image}");
    }
}
