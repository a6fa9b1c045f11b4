//! What a recipe asks for, on a real Swarm: configs, secrets, networks, and what is done when somebody changes it by hand.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use ci_warm_e2e::{Draft, LIMIT, Scene, Variant, wait_for, wait_until};

const V1: &str = "1.0.0+1.0";
const V1_1: &str = "1.1.0+1.1";
const NAMES: &str = "\nvolumes:\n  data:\n";
const SERVICE: &str = "    stop_grace_period: 5s\n";

/// A recipe with a config, secrets, networks and an overlay.
fn rich<'a>(scene: &'a Scene, version: &str, variant: &Variant, network: &str) -> Draft<'a> {
    let service = "    configs: [{ source: greeting, target: /greeting }]\n    secrets: [key, cert]\n    \
                   networks: [inside, outside]\n    container_name: ignored\n";
    let top = format!(
        "\nconfigs:\n  greeting:\n    name: ${{STACK_NAME}}_greeting_${{GREETING_VERSION}}\n    file: greeting.tmpl\n    \
         template_driver: golang\n\nsecrets:\n  key: {{ external: true, name: \"${{STACK_NAME}}_key_${{SECRET_KEY_VERSION}}\" }}\n  \
         cert: {{ external: true, name: \"${{STACK_NAME}}_cert_${{SECRET_CERT_VERSION}}\" }}\n\nnetworks:\n  \
         inside: {{ internal: true }}\n  outside: {{ external: true, name: {network} }}\n"
    );
    scene
        .recipe()
        .version(version, &scene.rig().image(variant))
        .replace(SERVICE, &format!("{SERVICE}{service}"))
        .replace(NAMES, &format!("{NAMES}{top}"))
        .file("greeting.tmpl", "{{ .Service.Name }} greets {{ env \"WHOM\" }}\n")
        .file("compose.whom.yml", "version: \"3.8\"\nservices:\n  app:\n    environment:\n      - WHOM=${WHOM}\n    deploy:\n      labels:\n        - \"whom=${WHOM}\"\n")
        .file("abra.sh", "export GREETING_VERSION=v1\n")
        .env("SECRET_KEY_VERSION=v1 # length=24 charset=hex\nSECRET_CERT_VERSION=v1\nWHOM=nobody")
}

#[test]
fn everything_that_a_recipe_asks_for_should_be_there() {
    let scene = Scene::new("rich");
    let (docker, stack) = (scene.docker(), scene.stack());
    let network = format!("outside-{}", scene.app());
    let cert = scene.path("cert.pem");
    fs::write(&cert, "a certificate\n").unwrap();
    rich(&scene, V1, &Variant::v1(), &network).publish();
    let more = format!(
        "  secrets: {{ cert: {{ fromFile: {} }} }}\n  networks: [{{ name: {network}, subnet: 10.213.7.0/24 }}]\n",
        cert.display()
    );
    let manifest = scene.quick_warm_app(&more).replace(
        "env: {",
        "env: { WHOM: everybody, COMPOSE_FILE: \"compose.yml:compose.whom.yml\",",
    );
    scene.declare(&manifest);
    let operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));

    let read = |path: &str| scene.get(&format!("/file{path}")).unwrap().body;
    assert_eq!(read("/greeting"), format!("{stack}_app greets everybody\n"));
    assert_eq!(read("/run/secrets/cert"), "a certificate\n");
    let key = read("/run/secrets/key");
    assert!(
        key.len() == 24
            && key
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()),
        "{key}"
    );
    assert_eq!(scene.app_label("whom"), "everybody");
    assert_eq!(scene.app_label(&format!("coop-cloud.{stack}.version")), V1);
    let about = |name: &str, template: &str| {
        docker.run(&["network", "inspect", "--format", template, name])
    };
    assert_eq!(
        about(
            &network,
            "{{.Driver}} {{.Attachable}} {{(index .IPAM.Config 0).Subnet}}"
        ),
        "overlay true 10.213.7.0/24"
    );
    assert_eq!(about(&format!("{stack}_inside"), "{{.Internal}}"), "true");
    let app = format!("{stack}_app");
    let check = "{{json .Spec.TaskTemplate.ContainerSpec.Healthcheck.Test}}";
    assert_eq!(
        docker.inspect_service(&app, check),
        r#"["CMD","/records","check","/version"]"#
    );
    let ports = "{{range .Spec.EndpointSpec.Ports}}{{.PublishedPort}} {{.PublishMode}}{{end}}";
    assert_eq!(
        docker.inspect_service(&app, ports),
        format!("{} host", scene.port())
    );
    scene.wait_for_status("container_name");

    // The same again: nothing is sent, also by an operator that was started anew, and no secret is made again.
    let before = scene.deployed();
    operator.stop();
    let _operator = scene.operator();
    scene.reconcile();
    scene.wait_for_result(&format!("noop-healthy:{V1}"));
    assert_eq!(scene.deployed(), before);

    let id = |secret: &str| docker.run(&["secret", "inspect", "--format", "{{.ID}}", secret]);
    let secret = format!("{stack}_key_v1");
    let first = id(&secret);
    rich(&scene, V1_1, &Variant::v1_1(), &network).publish();
    scene.reconcile();
    scene.wait_for_result(&format!("upgraded:{V1}->{V1_1}"));
    assert_eq!(read("/run/secrets/key"), key);

    // Taken down and declared again, it is the same app.
    scene.ccctl().run(&["delete", &scene.object()]);
    scene.wait_for_no_services();
    scene.wait_for_deleted();
    assert_eq!(id(&secret), first);
    scene.declare(&manifest);
    scene.wait_for_version("1.1");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(read("/run/secrets/key"), key);

    // Another content under the same name is nothing that a Swarm can do.
    let before = scene.deployed();
    rich(&scene, "1.2.0+1.2", &Variant::v1_1(), &network)
        .file("greeting.tmpl", "changed\n")
        .publish();
    scene.reconcile();
    scene.wait_for_result(&format!("refused:{V1_1}->1.2.0+1.2"));
    scene.wait_for_alert("refused", &format!("{stack}_greeting_v1"));
    scene.wait_for_alert("refused", "abra.sh");
    assert_eq!(scene.deployed(), before);
    rich(&scene, "1.3.0+1.3", &Variant::v1_1(), &network)
        .file("greeting.tmpl", "changed\n")
        .file("abra.sh", "export GREETING_VERSION=v2\n")
        .publish();
    scene.reconcile();
    scene.wait_for_result(&format!("upgraded:{V1_1}->1.3.0+1.3"));
    assert_eq!(read("/greeting"), "changed\n");

    scene.ccctl().run(&["delete", &scene.object()]);
    scene.wait_for_no_services();
    scene.wait_for_deleted();
    wait_until("the external network to be free", LIMIT, || {
        docker.try_run(&["network", "rm", &network]).succeeded()
    });
    for secret in [secret, format!("{stack}_cert_v1")] {
        docker.run(&["secret", "rm", &secret]);
    }
}

#[test]
fn a_secret_that_only_a_person_has_should_be_asked_for_by_name() {
    let scene = Scene::new("manual");
    let secret = format!("{}_token_v1", scene.stack());
    scene
        .recipe()
        .version(V1, &scene.rig().image(&Variant::v1()))
        .replace(SERVICE, &format!("{SERVICE}    secrets: [token]\n"))
        .replace(NAMES, &format!("{NAMES}\nsecrets:\n  token: {{ external: true, name: \"${{STACK_NAME}}_token_${{SECRET_TOKEN_VERSION}}\" }}\n"))
        .env("SECRET_TOKEN_VERSION=v1 # generate=false")
        .publish();
    scene.declare(&scene.quick_warm_app(""));
    let _operator = scene.operator();
    scene.wait_for_result(&format!("refused:none->{V1}"));
    scene.wait_for_ready("False", "SecretMissing");
    let alert = scene.wait_for_alert("refused", "generate=false");
    assert!(
        alert["message"].as_str().unwrap().contains(&secret),
        "{alert}"
    );
    assert!(scene.docker().services(&scene.stack()).is_empty());

    let file = scene.path("token");
    fs::write(&file, "given by hand").unwrap();
    let docker = scene.docker();
    docker.run(&["secret", "create", &secret, &file.display().to_string()]);
    scene.ask("reconcile");
    scene.wait_for_result(&format!("deployed:{V1}"));
    assert_eq!(
        scene.get("/file/run/secrets/token").unwrap().body,
        "given by hand"
    );
    scene.ccctl().run(&["delete", &scene.object()]);
    scene.wait_for_deleted();
    wait_until("the secret to be free", LIMIT, || {
        docker.try_run(&["secret", "rm", &secret]).succeeded()
    });
}

#[test]
fn a_key_that_no_compose_file_has_should_be_refused_by_name() {
    let scene = Scene::new("key");
    scene
        .recipe()
        .version(V1, &scene.rig().image(&Variant::v1()))
        .replace(SERVICE, &format!("{SERVICE}    frobnicate: true\n"))
        .publish();
    scene.declare(&scene.quick_warm_app(""));
    let _operator = scene.operator();
    scene.wait_for_result(&format!("refused:none->{V1}"));
    scene.wait_for_ready("False", "InvalidRecipe");
    scene.wait_for_alert("refused", "frobnicate");
    assert!(scene.docker().services(&scene.stack()).is_empty());
}

#[test]
fn what_is_changed_by_hand_should_be_put_right_without_a_change_of_version() {
    let scene = Scene::new("drift");
    scene.publish(V1, &Variant::v1());
    scene.declare(&scene.quick_warm_app(""));
    let _operator = scene.operator();
    scene.wait_for_result(&format!("deployed:{V1}"));
    scene.add_record("kept");
    let (docker, app) = (scene.docker(), format!("{}_app", scene.stack()));
    let tasks = docker.task_ids(&scene.stack());

    docker.run(&[
        "service",
        "update",
        "--detach",
        "--label-add",
        "by=hand",
        &app,
    ]);
    wait_for("the label to go", LIMIT, || match scene.app_label("by") {
        label if label.is_empty() => Ok(()),
        label => Err(format!("{label}\n{}", scene.operator_log())),
    });
    scene.wait_for_result(&format!("redeployed:{V1}"));
    assert_eq!(
        docker.task_ids(&scene.stack()),
        tasks,
        "a label restarts nothing"
    );

    let replicas = || docker.inspect_service(&app, "{{.Spec.Mode.Replicated.Replicas}}");
    docker.run(&["service", "scale", "--detach", &format!("{app}=0")]);
    wait_for("it to be scaled up again", LIMIT, || match replicas() {
        one if one == "1" => Ok(()),
        other => Err(format!("{other}\n{}", scene.operator_log())),
    });
    scene.wait_for_version("1");
    scene.wait_for_ready("True", "Healthy");

    docker.run(&["service", "rm", &app]);
    wait_until("the service to come back", LIMIT, || {
        docker.services(&scene.stack()) == [app.clone()]
    });
    scene.wait_for_version("1");
    scene.wait_for_ready("True", "Healthy");
    assert_eq!(scene.records(), ["kept"]);
    assert_eq!(scene.said("/version"), V1);
    assert!(scene.alerts().is_empty(), "{:?}", scene.alerts());
    assert!(scene.copies().is_empty());
}
