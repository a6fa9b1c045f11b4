//! The engine itself fails. In a file of its own, as this stops the containers of every test that runs meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

use ci_warm_e2e::{Ending, Scene, Variant};

#[test]
fn an_app_and_its_data_outlive_dockerd() {
    let scene = Scene::new("restart");
    scene.publish("1.0.0+1", &Variant::v1());
    scene.stack_deploy().ok();
    scene.wait_for_version("1");
    scene.add_record("kept");
    for ending in [Ending::Orderly, Ending::Crash] {
        scene.rig().restart_engine(ending);
        scene.wait_for_version("1");
        assert_eq!(scene.records(), ["kept"], "{ending:?}");
    }
}
