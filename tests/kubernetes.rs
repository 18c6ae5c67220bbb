//! `mkbc export`: manifests of plans as goldens in `tests/kubernetes/` (`BLESS=1` rewrites them), what is refused, and all of them against
//! the schemas that Kubernetes' controllers publish.
//!
//! The schemas are not ours: those of controllers are in `tests/kubernetes/crds`; those of Kubernetes itself are looked for in
//! `~/.cache/mkbc/kubernetes` (docs/kubernetes.md says where they are from), and their test says that it is skipped where they are
//! missing. No manifest has been applied to a cluster.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Mkbc, repository};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with the jobs, the library, the plan of one (`talk.json`) and the joint plan of both (`joint.json`).
fn house() -> Mkbc {
    let mkbc = Mkbc::new();
    let from = repository().join("tests/kubernetes");
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    for name in ["talk.mkb", "brief.mkb", "lib/house.mkb", "lib/profiles/fake.csv"] {
        mkbc.write(name, fs::read_to_string(from.join(name)).expect(name));
    }
    for arguments in [
        &["plan", "talk.mkb", "--no-prices", "-o", "talk.json"][..],
        &["plan", "talk.mkb", "brief.mkb", "--load", "talk=6/min,brief=40/min", "-o", "joint.json"],
    ] {
        let done = mkbc.run(&[arguments, &["--library", "lib", "--cluster", "house"]].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
    }
    mkbc
}

/// Exports that are goldens: the name of each, and what is asked.
const EXPORTS: [(&str, &[&str]); 7] = [
    (
        "run",
        &[
            "vllm",
            "talk.json",
            "--run",
            "talk.mkb",
            "--library",
            "lib",
            "--image",
            "mkbc=reg/mkbc:1",
            "--inputs-claim",
            "media",
            "--question",
            "Who? $(HOME)",
        ],
    ),
    ("deployments", &["vllm", "talk.json"]),
    ("joint_deployments", &["vllm", "joint.json", "--weights-claim", "models"]),
    ("groups", &["lws", "talk.json", "--gpus-per-node", "4"]),
    ("groups_of_one", &["lws", "joint.json", "--weights-claim", "models", "--name", "desk"]),
    ("ray", &["kuberay", "talk.json", "--gpus-per-node", "4"]),
    (
        "joint_ray",
        &["kuberay", "joint.json", "--weights-claim", "models", "--image", "ray=reg/ray:1", "--node", "l4=pool=cheap"],
    ),
];

/// Digests of the plan and of the library follow the library's text, and are no part of what is tested.
fn masked(text: &str) -> String {
    let line = |line: &str| {
        let digest =
            ["mkbc-plan-sha256: ", "\"library\": "].into_iter().find_map(|name| Some((line.split_once(name)?.0, name)));
        digest.map_or_else(|| format!("{line}\n"), |(before, name)| format!("{before}{name}masked\n"))
    };
    text.lines().map(line).collect()
}

fn exported(mkbc: &Mkbc, words: &[&str]) -> String {
    let done = mkbc.run(&[&["export"], words].concat());
    assert_eq!(done.code, Some(0), "{words:?}: {}", done.err);
    format!("{}# said: {}", masked(&done.out), done.err.replace('\n', "\n# said: ").trim_end_matches("# said: "))
}

#[test]
fn manifests_are_goldens() {
    let (mkbc, bless) = (house(), Bless::default());
    for (name, words) in EXPORTS {
        let text = exported(&mkbc, words);
        bless.golden(&repository().join(format!("tests/kubernetes/{name}.yaml")), &text);
        assert_eq!(text, exported(&mkbc, words), "{name}: the same plan gives the same bytes");
    }
    bless.end();
}

#[test]
fn a_folder_has_what_standard_output_has() {
    let mkbc = house();
    let all = mkbc.run(&["export", "vllm", "talk.json"]);
    let done = mkbc.run(&["export", "vllm", "talk.json", "-o", "out/k8s"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{}", done.err);
    let mut names: Vec<String> = fs::read_dir(mkbc.path("out/k8s"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names, ["large-405b.yaml", "other-70b.yaml", "run.addresses.yaml", "small-8b.yaml"]);
    let mut parts: Vec<String> = names.iter().map(|name| mkbc.read(&format!("out/k8s/{name}"))).collect();
    let mut whole: Vec<&str> = all.out.split("---\n").collect();
    let mut documents: Vec<String> =
        parts.drain(..).flat_map(|p| p.split("---\n").map(str::to_owned).collect::<Vec<_>>()).collect();
    whole.sort_unstable();
    documents.sort_unstable();
    assert_eq!(whole, documents);
}

#[test]
fn what_kubernetes_cannot_promise_is_refused() {
    let mkbc = house();
    let plan: Value = serde_json::from_str(&mkbc.read("talk.json")).expect("JSON");
    let edited = |name: &str, edit: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        edit(&mut plan);
        mkbc.write(name, plan.to_string());
    };
    let shared = json!([{ "device": "l4", "index": 0, "steps": [0, 1], "memory_gb": "20" }]);
    edited("shared.json", &|plan| plan["placement"] = shared.clone());
    edited("strange.json", &|plan| plan["steps"][0]["hardware"]["device"] = "abacus".into());
    edited("bare.json", &|plan| plan["steps"][0]["engine"]["url_env"] = "".into());
    edited("path.json", &|plan| plan["steps"][0]["engine"]["serve"]["weights"] = "../weights".into());
    edited("own.json", &|plan| plan["steps"][0]["engine"]["serve"]["server"] = "transformers".into());
    edited("unknown.json", &|plan| plan["steps"][0]["engine"]["serve"]["server"] = "triton".into());
    edited("none.json", &|plan| {
        for step in plan["steps"].as_array_mut().expect("steps") {
            step["engine"].as_object_mut().expect("an engine").shift_remove("serve");
        }
    });
    edited("twice.json", &|plan| {
        let engine = plan["steps"][0]["engine"].clone();
        plan["steps"][1]["engine"] = engine;
        plan["steps"][1]["engine"]["serve"]["parallel"] = 3.into();
    });
    for (words, says) in [
        (&["vllm", "shared.json"] as &[&str], "side by side on `l4 0`"),
        (&["vllm", "strange.json"], "`--node abacus="),
        (&["vllm", "strange.json"], "nodes have the device `abacus`"),
        (&["vllm", "bare.json"], "give the engine a `url_env`"),
        (&["vllm", "path.json"], "are a path"),
        (&["vllm", "own.json"], "`--image transformers=IMAGE`"),
        (&["vllm", "unknown.json"], "no server `triton` is known"),
        (&["vllm", "unknown.json", "--image", "triton=t:1"], "`--image triton=t:1`: it is for one of vllm, sglang"),
        (&["vllm", "none.json"], "no step of the plan is carried out by a model server"),
        (&["vllm", "twice.json"], "two servers with `org/Small-8B`"),
        (&["vllm", "talk.json", "--gpus-per-node", "4"], "`mkbc export lws` spreads"),
        (&["lws", "talk.json", "--gpus-per-node", "3"], "do not fill nodes of 3"),
        (&["lws", "talk.json", "--gpus-per-node", "0"], "takes 1 or more"),
        (&["vllm", "talk.json", "--name", "Talk"], "`Talk` is no name"),
        (&["vllm", "talk.json", "--name", "a-name-that-is-far-too-long"], "at most 24"),
        (&["vllm", "joint.json"], "llama.cpp is not told to fetch"),
        (&["vllm", "talk.json", "--node", "l4"], "DEVICE=LABEL=VALUE"),
        (&["vllm", "talk.json", "--image", "vllm"], "SERVER=IMAGE"),
        (&["vllm", "talk.json", "--question", "who"], "inputs are for a run"),
        (&["vllm", "talk.json", "--run", "talk.mkb", "--library", "lib"], "the input `question`"),
        (&["vllm", "talk.json", "--run", "talk.mkb", "--library", "lib", "--question", "?"], "`--image mkbc=IMAGE`"),
        (
            &["vllm", "talk.json", "--run", "brief.mkb", "--library", "lib", "--question", "?"],
            "the plan is for the job `talk`",
        ),
        (&["vllm", "joint.json", "--run", "talk.mkb", "--library", "lib", "--question", "?"], "not a joint plan"),
        (&["vllm", "talk.mkb"], "is a job, and no plan"),
    ] {
        let done = mkbc.run(&[&["export"], words].concat());
        assert!(done.code != Some(0) && done.out.is_empty(), "{words:?}: {}", done.out);
        assert!(done.err.contains(says) && !done.err.contains("panicked"), "{words:?}: {}", done.err);
    }
}

/// The schemas that controllers publish (`tests/kubernetes/crds/reduce.py` says where), by kind.
const PUBLISHED: [&str; 2] =
    [include_str!("kubernetes/crds/leaderworkerset.json"), include_str!("kubernetes/crds/rayservice.json")];

/// Schemas of what is written, by kind; what a schema does not know is wrong here, where Kubernetes would drop it in silence.
fn schemas() -> Map<String, Value> {
    let read = |text: &&str| {
        let mut published: Value = serde_json::from_str(text).expect("JSON");
        let mut schema = published["schema"].take();
        closed(&mut schema);
        // Kubernetes checks these itself, and a CRD leaves them out.
        schema["properties"]["metadata"] = json!({ "type": "object" });
        schema["properties"]["apiVersion"] = json!({ "const": published["apiVersion"] });
        (published["kind"].as_str().expect("a kind").to_owned(), schema)
    };
    PUBLISHED.iter().map(read).collect()
}

/// Makes a structural schema one of JSON, in which nothing else is allowed.
fn closed(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        if let Some(list) = schema.as_array_mut() {
            list.iter_mut().for_each(closed);
        }
        return;
    };
    let open = object.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if object.get("properties").is_some_and(Value::is_object) && !open && !object.contains_key("additionalProperties") {
        object.insert("additionalProperties".into(), json!(false));
    }
    if object.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        object.shift_remove("anyOf");
        object.insert("type".into(), json!(["integer", "string"]));
    }
    object.shift_remove("format");
    for (name, value) in object.iter_mut() {
        match name.as_str() {
            // Names that happen to be words of a schema.
            "properties" => value.as_object_mut().into_iter().flat_map(|o| o.values_mut()).for_each(closed),
            "items" | "additionalProperties" | "anyOf" | "allOf" | "oneOf" | "not" => closed(value),
            _ => {}
        }
    }
}

fn check(schema: &Value, value: &Value, of: &str) {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let wrong: Vec<String> = validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{of}:\n{}", wrong.join("\n"));
}

#[test]
fn manifests_are_what_the_controllers_take() {
    let schemas = schemas();
    // That of a pod is a part of LeaderWorkerSet's; the objects around it are Kubernetes' own.
    let group = |part: &str| {
        let at = format!("/properties/spec/properties/leaderWorkerTemplate/properties/{part}");
        schemas["LeaderWorkerSet"].pointer(&at).expect("a template").clone()
    };
    let pod = group("workerTemplate");
    let folder = repository().join("tests/kubernetes");
    let mut seen = Map::new();
    for (name, _) in EXPORTS {
        for document in documents(&folder.join(format!("{name}.yaml"))) {
            let kind = document["kind"].as_str().expect("a kind").to_owned();
            match kind.as_str() {
                "LeaderWorkerSet" | "RayService" => check(&schemas[&kind], &document, name),
                "Deployment" | "Job" => check(&pod, &document["spec"]["template"], name),
                "Service" | "ConfigMap" | "NetworkPolicy" => {}
                other => panic!("{name}: nobody checks a {other}"),
            }
            seen.insert(kind, Value::Null);
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    // The check can fail: a field that nobody knows is found, as deep as it is.
    let mut wrong = documents(&folder.join("groups.yaml")).remove(1);
    wrong["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"][0]["agrs"] = json!([]);
    assert!(!jsonschema::validator_for(&schemas["LeaderWorkerSet"]).expect("a schema").is_valid(&wrong));
}

/// The version of Kubernetes whose schemas are taken.
const KUBERNETES: &str = "v1.34.0";

/// The schemas of Kubernetes' own objects, in which a field that they do not know is wrong.
fn of_kubernetes() -> Option<Value> {
    let libraries = PathBuf::from(std::env::var_os("HOME")?).join(".cache/mkbc/kubernetes/lib");
    let within = format!("kubernetes_validate/kubernetes-json-schema/{KUBERNETES}-local-strict/_definitions.json");
    let versions = fs::read_dir(libraries).ok()?.flatten();
    let found = versions.map(|version| version.path().join("site-packages").join(&within)).find(|path| path.is_file());
    serde_json::from_str(&fs::read_to_string(found?).ok()?).ok()
}

#[test]
fn manifests_are_what_kubernetes_takes() {
    let Some(schemas) = of_kubernetes() else {
        eprintln!("SKIPPED: no schemas of Kubernetes in ~/.cache/mkbc/kubernetes (docs/kubernetes.md)");
        return;
    };
    let of = |kind: &str| {
        let mut schema = schemas.clone();
        schema["$ref"] = format!("#/$defs/io.k8s.api.{kind}").into();
        jsonschema::validator_for(&schema).expect("a schema")
    };
    let kinds =
        ["apps.v1.Deployment", "batch.v1.Job", "core.v1.Service", "core.v1.ConfigMap", "networking.v1.NetworkPolicy"];
    let schemas: Vec<_> = kinds.iter().map(|kind| (*kind, of(kind))).collect();
    let schema = |document: &Value| {
        let kind = document["kind"].as_str().expect("a kind");
        schemas.iter().find(|(name, _)| name.ends_with(&format!(".{kind}")))
    };
    let folder = repository().join("tests/kubernetes");
    let mut seen = Map::new();
    for (name, _) in EXPORTS {
        for document in documents(&folder.join(format!("{name}.yaml"))) {
            let Some((kind, schema)) = schema(&document) else { continue };
            let wrong: Vec<String> =
                schema.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{name}, a {kind}:\n{}", wrong.join("\n"));
            // The check can fail: a field that nobody knows is found.
            let mut other = document.clone();
            other["specs"] = json!({});
            assert!(!schema.is_valid(&other), "{name}, a {kind}");
            seen.insert((*kind).to_owned(), Value::Null);
        }
    }
    assert_eq!(seen.len(), kinds.len(), "{seen:?}");
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a golden");
    text.split("---\n").map(|document| yaml_serde::from_str(document).expect("YAML")).collect()
}

#[test]
fn pods_and_services_find_each_other() {
    for (name, _) in EXPORTS {
        let all = documents(&repository().join(format!("tests/kubernetes/{name}.yaml")));
        let has = |labels: &Value, selector: &Value| {
            selector.as_object().expect("a selector").iter().all(|(key, value)| labels[key] == *value)
        };
        for service in all.iter().filter(|d| d["kind"] == "Service") {
            let selector = &service["spec"]["selector"];
            let of_deployment = |d: &&Value| has(&d["spec"]["template"]["metadata"]["labels"], selector);
            let leader = |d: &&Value| {
                let template = &d["spec"]["leaderWorkerTemplate"];
                let of = |part: &str| has(&template[part]["metadata"]["labels"], selector);
                of("leaderTemplate") && !of("workerTemplate")
            };
            let found = all.iter().filter(|d| d["kind"] == "Deployment").filter(of_deployment).count()
                + all.iter().filter(|d| d["kind"] == "LeaderWorkerSet").filter(leader).count();
            assert_eq!(found, 1, "{name}: {}", service["metadata"]["name"]);
        }
        // Whoever runs the plan is told of services that are there.
        let addresses = all.iter().find(|d| d["metadata"]["labels"]["app.kubernetes.io/component"] == "addresses");
        for (variable, address) in addresses.expect("addresses")["data"].as_object().expect("data") {
            let host = address.as_str().and_then(|a| a.strip_prefix("http://")?.split(':').next()).expect("a host");
            let service = |d: &&Value| d["kind"] == "Service" && d["metadata"]["name"] == host;
            let of_ray = |d: &&Value| {
                let name = d["metadata"]["name"].as_str().unwrap_or_default();
                d["kind"] == "RayService" && host == format!("{name}-serve-svc")
            };
            assert!(all.iter().any(|d| service(&d) || of_ray(&d)), "{name}: {variable}={address}");
        }
    }
}
