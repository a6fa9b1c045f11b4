//! A WarmApp on a real Swarm: deployed, upgraded, left alone.
#![allow(missing_docs)]

use ci_warm_e2e::{Scene, Variant};

const STATELESS: &str = "  data: { snapshot: Never }";

#[test]
fn a_stateless_app_should_be_deployed_upgraded_and_left_alone() {
    let scene = Scene::new("stateless");
    scene.publish("1.0.0+1.0", &Variant::v1());
    scene.apply_warm_app(STATELESS);
    let _operator = scene.operator();
    scene.wait_for_result("deployed:1.0.0+1.0");
    scene.wait_for_version("1");
    scene.wait_for_ready("True", "Healthy");
    scene.publish("1.1.0+1.1", &Variant::v1_1());
    scene.write(&format!("requests/warmapps/{}/reconcile.yaml", scene.app()), "");
    scene.wait_for_result("upgraded:1.0.0+1.0->1.1.0+1.1");
    scene.wait_for_version("1.1");
    let versions = scene.docker().service_versions(&scene.stack());
    let tasks = scene.docker().task_ids(&scene.stack());
    scene.write(&format!("requests/warmapps/{}/reconcile.yaml", scene.app()), "");
    scene.wait_for_result("noop-healthy:1.1.0+1.1");
    assert_eq!(scene.docker().service_versions(&scene.stack()), versions);
    assert_eq!(scene.docker().task_ids(&scene.stack()), tasks);
}
