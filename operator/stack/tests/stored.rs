//! A stack as it is kept in a stored release, and what is done to it before it is sent.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ci_warm_stack::{ComposeFile, Ids, PinError, Stack, StackName, VolumeKind, load};
use proptest::prelude::*;
use serde_json::json;

const COMPOSE: &str = r#"
services:
  web:
    image: docker.io/library/nginx:1
    restart: always
    depends_on: [db]
    environment: {LINES: "a\nb: \"c\"\n", YES: "yes", NUM: "0440"}
    configs: [c]
    secrets: [s, e]
    volumes:
      - data:/data:ro
      - shared:/shared
      - /srv/x:/x
      - /cache
      - nfs:/nfs
      - {type: tmpfs, target: /t}
    deploy: {update_config: {max_failure_ratio: 0.3}}
  db: {image: db}
networks: {unused: }
volumes:
  data:
  shared: {external: true, name: other_shared}
  nfs: {driver: local, driver_opts: {type: nfs, device: ":/x"}}
configs: {c: {file: bytes}}
secrets: {s: {file: bytes}, e: {external: true, name: real}}
"#;

fn stack() -> Stack {
    let every_byte: Vec<u8> = (0..=255).collect();
    let beside: BTreeMap<PathBuf, Vec<u8>> = [(PathBuf::from("/w/bytes"), every_byte)].into();
    let file = ComposeFile {
        name: "compose.yml".to_owned(),
        text: COMPOSE.to_owned(),
    };
    let loaded = load(&[file], &BTreeMap::new(), Path::new("/w"), &beside).unwrap();
    loaded.stack(&StackName::new("app").unwrap()).unwrap()
}

#[test]
fn a_stack_should_come_back_from_json_and_yaml_as_it_was() {
    let stack = stack();
    let json = serde_json::to_string(&stack).unwrap();
    let back: Stack = serde_json::from_str(&json).unwrap();
    assert_eq!(back, stack);
    assert_eq!(back.canonical_json(), stack.canonical_json());
    let yaml = serde_saphyr::to_string(&stack).unwrap();
    let back: Stack = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(back, stack);
    assert_eq!(back.canonical_json(), stack.canonical_json());
    assert_eq!(
        back.configs[0].content().unwrap(),
        (0..=255).collect::<Vec<u8>>()
    );
}

#[test]
fn mounts_should_tell_what_data_they_hold() {
    let stack = stack();
    let uses: Vec<_> = stack
        .volumes
        .iter()
        .map(|used| {
            (
                used.kind,
                used.source.as_deref(),
                used.target.as_str(),
                used.read_only,
            )
        })
        .collect();
    assert_eq!(
        uses,
        [
            (VolumeKind::Named, Some("app_data"), "/data", true),
            (VolumeKind::External, Some("other_shared"), "/shared", false),
            (VolumeKind::Bind, Some("/srv/x"), "/x", false),
            (VolumeKind::Anonymous, None, "/cache", false),
            (VolumeKind::Named, Some("app_nfs"), "/nfs", false),
            (VolumeKind::Tmpfs, None, "/t", false),
        ]
    );
    assert_eq!(stack.volumes[4].driver.as_deref(), Some("local"));
    assert_eq!(stack.volumes[4].driver_options["type"], "nfs");
}

#[test]
fn warnings_should_name_what_has_no_effect() {
    let warnings: Vec<String> = stack()
        .warnings
        .into_iter()
        .map(|warning| format!("{}: {}", warning.path, warning.message))
        .collect();
    assert_eq!(
        warnings,
        [
            "services.web.restart: only counts while deploy.restart_policy is absent; write that instead",
            "services.web.depends_on: is ignored: services start in any order",
            "networks.unused: no service uses it, so it is not created",
        ]
    );
}

#[test]
fn a_pinned_image_should_be_sent_and_the_label_keep_the_text() {
    let mut stack = stack();
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(stack.images()["web"], "docker.io/library/nginx:1");
    let pins = [(
        "web".to_owned(),
        format!("docker.io/library/nginx:1@{digest}"),
    )]
    .into();
    stack.pin_images(&pins).unwrap();
    let web = stack.service("web").unwrap();
    assert_eq!(web.sent_image(), format!("nginx:1@{digest}"));
    assert_eq!(
        web.spec["Labels"]["com.docker.stack.image"],
        "docker.io/library/nginx:1"
    );
}

#[test]
fn a_pin_should_be_a_digest_of_the_same_image() {
    let mut web = stack().service("web").unwrap().clone();
    let digest = format!("sha256:{}", "a".repeat(64));
    assert!(matches!(
        web.pin_image("nginx:1"),
        Err(PinError::NoDigest { .. })
    ));
    assert!(matches!(
        web.pin_image(&format!("nginx:2@{digest}")),
        Err(PinError::OtherImage { .. })
    ));
    assert!(matches!(
        web.pin_image(&format!("httpd@{digest}")),
        Err(PinError::OtherImage { .. })
    ));
    assert!(matches!(
        web.pin_image("N N"),
        Err(PinError::NotAReference { .. })
    ));
    assert_eq!(web, *stack().service("web").unwrap());
}

#[test]
fn ids_should_be_filled_in_by_name_or_missed_by_name() {
    let stack = stack();
    let web = stack.service("web").unwrap();
    let mut ids = Ids::default();
    ids.secrets.extend([
        ("app_s".to_owned(), "id1".to_owned()),
        ("real".to_owned(), "id2".to_owned()),
    ]);
    let missing = web.spec_with_ids(&ids).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "config not found: app_c; service app_web uses it, so create it before the service"
    );
    ids.configs.insert("app_c".to_owned(), "id3".to_owned());
    let spec = web.spec_with_ids(&ids).unwrap();
    let container = &spec["TaskTemplate"]["ContainerSpec"];
    assert_eq!(container["Configs"][0]["ConfigID"], "id3");
    assert_eq!(container["Secrets"][1]["SecretID"], "id2");
}

#[test]
fn placement_should_always_be_an_object() {
    for service in stack().services {
        assert_eq!(
            service.spec["TaskTemplate"]["Placement"],
            json!({}),
            "{}",
            service.name
        );
    }
}

#[test]
fn stack_names_should_be_checked() {
    for name in ["a", "warm-keycloak_x", "A1"] {
        assert_eq!(StackName::new(name).unwrap().as_str(), name);
    }
    for name in ["", "-a", "a-", "a.b", "a b", &"a".repeat(64)] {
        assert!(StackName::new(name).is_err(), "{name}");
    }
    assert!(serde_json::from_value::<StackName>(json!("a b")).is_err());
}

proptest! {
    /// Whatever the text, the answer is a stack or an error.
    #[test]
    fn no_text_should_make_loading_panic(
        key in "(ports|volumes|command|environment|deploy|healthcheck|networks|image|labels|ulimits|extra_hosts|[a-z]{1,6})",
        value in "[-0-9a-z:/.,${}\\[\\]\"'&*!<# \n]{0,24}",
    ) {
        let text = format!("services:\n  a:\n    image: x\n    {key}: {value}\n");
        let file = ComposeFile { name: "c.yml".to_owned(), text };
        let beside: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        if let Ok(loaded) = load(&[file], &BTreeMap::new(), Path::new("/w"), &beside) {
            let _ = loaded.stack(&StackName::new("app").unwrap());
        }
    }
}

#[test]
fn loaded_files_should_cross_threads() {
    fn check<T: Send + Sync>(_: Option<T>) {}
    check::<ci_warm_stack::Loaded>(None);
    check::<ci_warm_stack::LoadError>(None);
}
