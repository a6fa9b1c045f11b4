//! Reading manifests strictly: per field what is wrong with it, at its line and column.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_api_types::manifest::{self, Manifest, Spec};
use ci_warm_api_types::problem::Problem;
use ci_warm_api_types::snapshot::SnapshotSpec;
use ci_warm_api_types::warm_app::WarmAppSpec;

const APP: &str = "\
apiVersion: ci-warm/v1alpha1
kind: WarmApp
metadata:
  name: keycloak
spec:
  recipe:
    git: https://git.example.org/keycloak.git
  version: latest
  domain: keycloak.example.org
  stack: keycloak
  env: { TIMEOUT: \"600\" }
  secrets:
    cert: { fromFile: /etc/cert.pem }
  networks:
    - name: proxy
      subnet: 10.10.0.0/16
  data:
    snapshot: BeforeUpgrade
    exempt: [/srv/cache]
    retain: 2
  health:
    http:
      url: https://${DOMAIN}/
      status: [200]
      resolve: 127.0.0.1:443
    interval: 2s
    successThreshold: 3
    deadline: 15m
  hold: { major: true }
  rollback:
    on: [DeployFailed]
  upgrade:
    window: { start: '02:00', end: '04:00', timeZone: Europe/Berlin }
  dependsOn:
    - kind: WarmApp
      name: traefik
  deletionPolicy: Undeploy
  suspend: false
  interval: 15m
";

const SNAPSHOT: &str = "\
apiVersion: ci-warm/v1alpha1
kind: Snapshot
metadata:
  name: before
spec:
  instance: keycloak
  deletionPolicy: Retain
";

fn read<S: Spec>(text: &str) -> Result<Manifest<S>, Problem> {
    manifest::read("a.yaml", None, text)
}

/// The line to replace (by its beginning, blanks aside), what to put there (nothing takes it out), and what is then said
/// at which line and column.
type Case = (&'static str, &'static str, (u64, u64), &'static str);

fn check<S: Spec>(sample: &str, cases: &[Case]) {
    read::<S>(sample).map(drop).unwrap();
    let mut wrong = Vec::new();
    for (line, with, at, message) in cases {
        let is_it = |l: &&str| l.trim_start().starts_with(line);
        assert_eq!(
            sample.lines().filter(is_it).count(),
            1,
            "{line:?} is there once"
        );
        let mut text = String::new();
        for l in sample.lines() {
            let l = if is_it(&l) { *with } else { l };
            if !l.is_empty() {
                text = text + l + "\n";
            }
        }
        match read::<S>(&text) {
            Ok(_) => wrong.push(format!("{with:?} for {line:?} is taken")),
            Err(problem) => {
                let said = problem.to_string();
                if (problem.line, problem.column) != *at || !said.contains(message) {
                    wrong.push(format!(
                        "{with:?} for {line:?}: wanted {at:?} {message:?}, got {said}"
                    ));
                } else {
                    let number = usize::try_from(problem.line).unwrap();
                    assert_eq!(
                        Some(problem.source_line.as_str()),
                        text.lines().nth(number - 1)
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// See [`Case`].
#[rustfmt::skip]
const HEADER: &[Case] = &[
    ("apiVersion:", "", (1, 1), "missing field `apiVersion`"),
    ("apiVersion:", "apiVersion: v1", (1, 1), "expected `ci-warm/v1alpha1`"),
    ("apiVersion:", "apiVersion:", (1, 1), "missing field `apiVersion`"),
    ("apiVersion:", "apiversion: ci-warm/v1alpha1", (1, 1), "missing field `apiVersion`"),
    ("kind: WarmApp", "kind: Warmapp", (2, 1), "did you mean `WarmApp`?"),
    ("kind: WarmApp", "kind: Snapshot", (2, 1), "expected `WarmApp`"),
];

#[test]
fn header_should_be_read_strictly() {
    check::<WarmAppSpec>(APP, HEADER);
}

/// See [`Case`].
#[rustfmt::skip]
const METADATA: &[Case] = &[
    ("metadata:", "metdata:", (3, 1), "did you mean `metadata`?"),
    ("name: keycloak", "", (3, 1), "missing field `name`"),
    ("name: keycloak", "  name:", (4, 7), "there is no value"),
    ("name: keycloak", "  name: ''", (4, 3), "cannot name an object"),
    ("name: keycloak", "  name: Keycloak", (4, 3), "cannot name an object"),
    ("name: keycloak", "  name: ../etc", (4, 3), "cannot name an object"),
    ("name: keycloak", "  name: [a]", (4, 9), "expected a text"),
    ("name: keycloak", "  {name: a, label: {}}", (4, 13), "did you mean `labels`?"),
    ("name: keycloak", "  {name: a, labels: {a: [b]}}", (4, 25), "expected a text"),
    ("name: keycloak", "  {name: a, name: b}", (4, 13), "duplicate"),
];

#[test]
fn metadata_should_be_read_strictly() {
    check::<WarmAppSpec>(APP, METADATA);
}

/// See [`Case`].
#[rustfmt::skip]
const WARM_APP: &[Case] = &[
    ("git:", "", (6, 3), "missing field `git`"),
    ("git:", "    git: ''", (7, 5), "must name a repository"),
    ("git:", "    git: [a]", (7, 10), "expected a text"),
    ("git:", "    url: x", (7, 5), "unknown field `url`"),
    ("version: latest", "  version: newest", (8, 12), "is not a range"),
    ("version: latest", "  version: {a: b}", (8, 12), "expected a text"),
    ("version: latest", "  verison: latest", (8, 3), "did you mean `version`?"),
    ("domain:", "", (5, 1), "missing field `domain`"),
    ("domain:", "  domain: ''", (9, 3), "is not a domain name"),
    ("domain:", "  domain: Keycloak.example.org", (9, 3), "is not a domain name"),
    ("domain:", "  domain: a..b", (9, 3), "is not a domain name"),
    ("domain:", "  domain: https://a.org", (9, 3), "is not a domain name"),
    ("domain:", "  domian: a.org", (9, 3), "did you mean `domain`?"),
    ("domain:", "  domain: a.org\n  domain: b.org", (10, 3), "duplicate"),
    ("stack:", "  stack: a b", (10, 3), "cannot name a stack"),
    ("stack:", "  stack: ''", (10, 3), "cannot name a stack"),
    ("env:", "  env: [A=b]", (11, 8), "expected fields"),
    ("env:", "  env: { A: [b] }", (11, 13), "expected a text"),
    ("env:", "  env: { A: b, A: c }", (11, 16), "duplicate"),
    ("cert:", "    cert: {}", (13, 5), "give exactly one of"),
    ("cert:", "    cert: { fromFile: /a, fromCredential: b }", (13, 5), "give exactly one of"),
    ("cert:", "    cert: { fromFile: a.pem }", (13, 13), "must be an absolute path"),
    ("cert:", "    cert: { fromfile: /a }", (13, 13), "did you mean `fromFile`?"),
    ("subnet:", "      subnet: 10.10.0.0/33", (16, 7), "is not a subnet"),
    ("subnet:", "      subnet: ten", (16, 7), "is not a subnet"),
    ("subnet:", "      attachable: yes", (16, 19), "true or false"),
    ("- name: proxy", "    - nam: proxy", (15, 7), "did you mean `name`?"),
    ("snapshot: Bef", "    snapshot: Always", (18, 15), "expected one of BeforeUpgrade, Never"),
    ("snapshot: Bef", "    snapshot: beforeUpgrade", (18, 15), "did you mean `BeforeUpgrade`?"),
    ("exempt:", "    exempt: [srv]", (19, 5), "must be an absolute path"),
    ("retain:", "    retain: -1", (20, 13), "not a whole number"),
    ("retain:", "    retain: many", (20, 13), "not a whole number"),
    ("retain:", "    retain: 99999999999", (20, 13), "not a whole number"),
];

#[test]
fn warm_app_should_be_read_strictly() {
    check::<WarmAppSpec>(APP, WARM_APP);
}

/// See [`Case`].
#[rustfmt::skip]
const GATES_AND_POLICIES: &[Case] = &[
    ("url:", "", (22, 5), "missing field `url`"),
    ("url:", "      url: ftp://a", (23, 7), "it begins with http:// or https://"),
    ("status:", "      status: []", (24, 7), "no status code is given"),
    ("status:", "      status: [200, 99]", (24, 21), "99 is not an HTTP status code"),
    ("status:", "      status: [ok]", (24, 16), "not a whole number"),
    ("resolve:", "      resolve: localhost", (25, 7), "is not `ip:port`"),
    ("resolve:", "      tls: { insecureSkipVerfy: true }", (25, 14), "did you mean `insecureSkipVerify`?"),
    ("interval: 2s", "    interval: 2", (26, 15), "`2` has no unit"),
    ("interval: 2s", "    interval: 0s", (26, 15), "out of range"),
    ("interval: 2s", "    interval: 31d", (26, 15), "out of range"),
    ("successThreshold:", "    successThreshold: 0", (27, 5), "expected a nonzero"),
    ("deadline:", "    deadline: 3s", (28, 5), "is over before"),
    ("hold:", "  hold: { major: ja }", (29, 18), "true or false"),
    ("hold:", "  hold: { majr: true }", (29, 11), "did you mean `major`?"),
    ("on:", "    on: [DeployFaild]", (31, 10), "did you mean `DeployFailed`?"),
    ("window:", "    window: { start: '25:00', end: '04:00' }", (33, 5), "is not a time of day"),
    ("window:", "    window: { start: '02:00', end: '04:00', timeZone: Mars }", (33, 5), "is not a known time zone"),
    ("window:", "    window: { start: '02:00' }", (33, 5), "missing field `end`"),
    ("window:", "    window: { start: '02:00', end: '04:00', days: [Monday] }", (33, 52), "expected one of Mon"),
    ("- kind: WarmApp", "    - kind: Run", (35, 13), "unknown value `Run`"),
    ("deletionPolicy:", "  deletionPolicy: Delete", (37, 19), "expected one of Undeploy, Orphan, Purge"),
    ("suspend:", "  suspend: yes", (38, 12), "true or false"),
    ("suspend:", "  suspended: true", (38, 3), "did you mean `suspend`?"),
    ("interval: 15m", "  interval: often", (39, 13), "is not a length of time"),
];

#[test]
fn gates_and_policies_should_be_read_strictly() {
    check::<WarmAppSpec>(APP, GATES_AND_POLICIES);
}

/// See [`Case`].
#[rustfmt::skip]
const SNAPSHOT_CASES: &[Case] = &[
    ("kind:", "kind: WarmApp", (2, 1), "does not belong here: expected `Snapshot`"),
    ("instance:", "", (5, 1), "missing field `instance`"),
    ("instance:", "  instance: ''", (6, 3), "is not the name of a stack"),
    ("instance:", "  instance: ../keycloak", (6, 3), "is not the name of a stack"),
    ("instance:", "  instance: [a]", (6, 13), "expected a text"),
    ("instance:", "  instanse: a", (6, 3), "did you mean `instance`?"),
    ("instance:", "  instance: a\n  instance: b", (7, 3), "duplicate"),
    ("deletionPolicy:", "  deletionPolicy: Purge", (7, 19), "expected one of Retain, Delete"),
];

#[test]
fn snapshot_should_be_read_strictly() {
    check::<SnapshotSpec>(SNAPSHOT, SNAPSHOT_CASES);
}

#[test]
fn what_the_operator_keeps_should_be_passed_over() {
    let text = SNAPSHOT.replace(
        "  name: before\n",
        "  name: before\n  uid: 0b5e\n  generation: 3\n  creationTimestamp: 2026-01-01T00:00:00Z\n  finalizers: [x]\n",
    ) + "status:\n  readyToUse: true\n  volumes: [{name: a}]\n";
    let (with, without) = (
        read::<SnapshotSpec>(&text).unwrap(),
        read::<SnapshotSpec>(SNAPSHOT).unwrap(),
    );
    assert_eq!((with.metadata, with.spec), (without.metadata, without.spec));
}

#[test]
fn everything_wrong_should_be_said_at_once() {
    let text = APP
        .replace("domain: key", "domain: KEY")
        .replace("10.10.0.0/16", "ten")
        .replace("name: keycloak", "name: Key");
    let problems = manifest::read_or_all::<WarmAppSpec>("a.yaml", None, &text).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, problem.column))
        .collect();
    assert_eq!(places, [(4, 3), (9, 3), (16, 7)]);
}
