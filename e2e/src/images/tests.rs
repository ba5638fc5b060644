use std::path::Path;

use super::*;

fn engine() -> Image {
    parse("/t/images/engine.tar springtide.dev/engine:0.1.0 120M").unwrap()
}

fn places() -> Places {
    Places {
        checkout: "/c".into(),
        cache: "/k".into(),
        target: "/t".into(),
        cluster_state: "/s".into(),
    }
}

#[test]
fn a_registry_stands_before_the_whole_name() {
    assert_eq!(engine().short_name(), "engine");
    assert_eq!(
        engine().in_registry("registry.example.com:5000/analytics/"),
        "registry.example.com:5000/analytics/springtide.dev/engine:0.1.0"
    );
}

#[test]
fn a_context_says_how_images_get_there_or_is_refused_with_the_remedy() {
    assert_eq!(
        Delivery::for_context("kind-dev", None, None).unwrap(),
        Delivery::Kind { cluster: "dev".into() }
    );
    assert_eq!(
        Delivery::for_context("k3d-dev", None, None).unwrap(),
        Delivery::K3d { cluster: "dev".into() }
    );
    let registry = Delivery::for_context("kind-dev", Some("r.example.com".into()), None).unwrap();
    assert_eq!(registry.name_of(&engine()), "r.example.com/springtide.dev/engine:0.1.0");
    let refused = Delivery::for_context("prod", None, None).unwrap_err().to_string();
    assert!(refused.contains("REGISTRY=host/path"), "{refused}");
}

#[test]
fn each_way_has_its_command() {
    let line = |delivery: Delivery| {
        delivery
            .command(&places(), &engine(), Path::new("/k/tools"))
            .line()
            .to_owned()
    };
    assert_eq!(
        line(Delivery::Kind { cluster: "dev".into() }),
        "kind load image-archive /t/images/engine.tar --name dev"
    );
    assert_eq!(
        line(Delivery::K3d { cluster: "dev".into() }),
        "k3d image import /t/images/engine.tar --cluster dev"
    );
    assert_eq!(
        line(Delivery::LocalNodes),
        "/c/e2e/kubernetes/load /t/images/engine.tar"
    );
    let registry = Delivery::Registry {
        registry: "r:5000/s".into(),
        login: None,
    };
    assert_eq!(
        line(registry),
        "/k/tools/crane push /t/images/engine.tar r:5000/s/springtide.dev/engine:0.1.0"
    );
}
