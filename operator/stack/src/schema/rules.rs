//! The keys of compose 3.0 to 3.13 as data. A field's number is the minor version it came with.

use super::{Extra, Field, Form, Items, Keys, Kind, Null, Object, Rule};

const TEXT: Rule = Rule::Scalar(&[Kind::Text]);
const BOOL: Rule = Rule::Scalar(&[Kind::Bool]);
const INT: Rule = Rule::Scalar(&[Kind::Int]);
const NUMBER: Rule = Rule::Scalar(&[Kind::Number]);
const DURATION: Rule = Rule::Text(Form::Duration);
const TEXT_OR_DURATION: Rule = Rule::Since(4, &TEXT, &DURATION);
const LABEL: Rule = Rule::Scalar(&[Kind::Text, Kind::Number, Kind::Null]);
const OPTION: Rule = Rule::Scalar(&[Kind::Text, Kind::Number]);
const ANY_OBJECT: Rule = Rule::Map(Keys::NamesOrUnchecked, &Rule::Any);

const TEXTS: Rule = Rule::List(&TEXT, Items::Free);
const DISTINCT_TEXTS: Rule = Rule::List(&TEXT, Items::Distinct);
const TEXT_OR_TEXTS: Rule = Rule::Either(&[&TEXT, &DISTINCT_TEXTS]);
const COMMAND: Rule = Rule::Either(&[&TEXT, &TEXTS]);
const PAIRS: Rule = Rule::Either(&[&Rule::Map(Keys::Filled, &LABEL), &DISTINCT_TEXTS]);
const OPTIONS: Rule = Rule::Map(Keys::Filled, &OPTION);

/// A mapping of which unknown keys are refused.
const fn object(fields: &'static [Field]) -> Object {
    Object {
        fields,
        required: &[],
        extra: Extra::Refuse,
        null: Null::Refuse,
    }
}

/// A mapping whose unknown keys the reference lets pass.
const fn open(fields: &'static [Field]) -> Object {
    Object {
        extra: Extra::Ignore,
        ..object(fields)
    }
}

pub(super) const TOP: Object = Object {
    extra: Extra::Extensions(4),
    ..object(&[
        Field("version", 0, &TEXT),
        Field(
            "services",
            0,
            &Rule::Map(Keys::Names, &Rule::Object(&SERVICE)),
        ),
        Field(
            "networks",
            0,
            &Rule::Map(Keys::NamesOrUnchecked, &Rule::Object(&NETWORK)),
        ),
        Field(
            "volumes",
            0,
            &Rule::Map(Keys::Names, &Rule::Object(&VOLUME)),
        ),
        Field(
            "secrets",
            1,
            &Rule::Map(Keys::Names, &Rule::Object(&SECRET)),
        ),
        Field(
            "configs",
            3,
            &Rule::Map(Keys::Names, &Rule::Object(&CONFIG)),
        ),
    ])
};

const SERVICE: Object = Object {
    extra: Extra::Extensions(7),
    ..object(&[
        Field("build", 0, &BUILD),
        Field("cap_add", 0, &DISTINCT_TEXTS),
        Field("cap_drop", 0, &DISTINCT_TEXTS),
        Field("cgroup_parent", 0, &TEXT),
        Field("cgroupns_mode", 9, &TEXT),
        Field("command", 0, &COMMAND),
        Field("configs", 3, &FILE_REFERENCES),
        Field("container_name", 0, &TEXT),
        Field("credential_spec", 3, &Rule::Object(&CREDENTIAL_SPEC)),
        Field("depends_on", 0, &DISTINCT_TEXTS),
        Field("deploy", 0, &Rule::Object(&DEPLOY)),
        Field("devices", 0, &DISTINCT_TEXTS),
        Field("dns", 0, &TEXT_OR_TEXTS),
        Field("dns_search", 0, &TEXT_OR_TEXTS),
        Field("domainname", 0, &TEXT),
        Field("entrypoint", 0, &COMMAND),
        Field("env_file", 0, &TEXT_OR_TEXTS),
        Field("environment", 0, &PAIRS),
        Field("expose", 0, &Rule::List(&OPTION, Items::Distinct)),
        Field("external_links", 0, &DISTINCT_TEXTS),
        Field("extra_hosts", 0, &PAIRS),
        Field("healthcheck", 0, &Rule::Object(&HEALTHCHECK)),
        Field("hostname", 0, &TEXT),
        Field("image", 0, &TEXT),
        Field("init", 7, &BOOL),
        Field("ipc", 0, &TEXT),
        Field("isolation", 5, &TEXT),
        Field("labels", 0, &PAIRS),
        Field("links", 0, &DISTINCT_TEXTS),
        Field("logging", 0, &Rule::Object(&LOGGING)),
        Field("mac_address", 0, &TEXT),
        Field("network_mode", 0, &TEXT),
        Field("networks", 0, &SERVICE_NETWORKS),
        Field("oom_score_adj", 13, &INT),
        Field("pid", 0, &Rule::Scalar(&[Kind::Text, Kind::Null])),
        Field("ports", 0, &PORTS),
        Field("privileged", 0, &BOOL),
        Field("read_only", 0, &BOOL),
        Field("restart", 0, &TEXT),
        Field("secrets", 1, &FILE_REFERENCES),
        Field("security_opt", 0, &DISTINCT_TEXTS),
        Field("shm_size", 0, &OPTION),
        Field("stdin_open", 0, &BOOL),
        Field("stop_grace_period", 0, &DURATION),
        Field("stop_signal", 0, &TEXT),
        Field("sysctls", 0, &PAIRS),
        Field("tmpfs", 0, &TEXT_OR_TEXTS),
        Field("tty", 0, &BOOL),
        Field("ulimits", 0, &Rule::Map(Keys::LowerOrUnchecked, &ULIMIT)),
        Field("user", 0, &TEXT),
        Field("userns_mode", 0, &TEXT),
        Field("volumes", 0, &MOUNTS),
        Field("working_dir", 0, &TEXT),
    ])
};

// Nothing is built for a stack: of `build` only the keys are judged, and from 3.11 on not even these.
const BUILD: Rule = Rule::Either(&[
    &TEXT,
    &Rule::Since(
        11,
        &Rule::Object(&object(&[
            Field("args", 0, &PAIRS),
            Field("cache_from", 2, &DISTINCT_TEXTS),
            Field("context", 0, &TEXT),
            Field("dockerfile", 0, &TEXT),
            Field("extra_hosts", 9, &PAIRS),
            Field("labels", 3, &PAIRS),
            Field("network", 4, &TEXT),
            Field("shm_size", 5, &OPTION),
            Field("target", 4, &TEXT),
        ])),
        &ANY_OBJECT,
    ),
]);

const FILE_REFERENCES: Rule = Rule::List(
    &Rule::Either(&[
        &TEXT,
        &Rule::Object(&open(&[
            Field("source", 0, &TEXT),
            Field("target", 0, &TEXT),
            Field("uid", 0, &TEXT),
            Field("gid", 0, &TEXT),
            Field("mode", 0, &NUMBER),
        ])),
    ]),
    Items::Free,
);

const CREDENTIAL_SPEC: Object = object(&[
    Field("config", 8, &TEXT),
    Field("file", 0, &TEXT),
    Field("registry", 0, &TEXT),
]);

const LOGGING: Object = object(&[
    Field("driver", 0, &TEXT),
    Field("options", 0, &Rule::Map(Keys::Filled, &LABEL)),
]);

const SERVICE_NETWORKS: Rule = Rule::Either(&[
    &DISTINCT_TEXTS,
    &Rule::Map(
        Keys::Names,
        &Rule::Object(&Object {
            null: Null::Allow,
            ..object(&[
                Field("aliases", 0, &DISTINCT_TEXTS),
                Field("driver_opts", 13, &OPTIONS),
                Field("ipv4_address", 0, &TEXT),
                Field("ipv6_address", 0, &TEXT),
            ])
        }),
    ),
]);

const PORTS: Rule = Rule::List(
    &Rule::Since(
        2,
        &Rule::Port,
        &Rule::Either(&[
            &Rule::Port,
            &Rule::Object(&object(&[
                Field("mode", 0, &TEXT),
                Field("target", 0, &INT),
                Field("published", 0, &INT),
                Field("protocol", 0, &TEXT),
            ])),
        ]),
    ),
    Items::Distinct,
);

const ULIMIT: Rule = Rule::Either(&[
    &INT,
    &Rule::Object(&Object {
        required: &["soft", "hard"],
        ..object(&[Field("hard", 0, &INT), Field("soft", 0, &INT)])
    }),
]);

// The reference demands distinct items only of the oldest, text-only form.
const MOUNTS: Rule = Rule::Since(
    2,
    &DISTINCT_TEXTS,
    &Rule::List(&Rule::Either(&[&TEXT, &Rule::Object(&MOUNT)]), Items::Free),
);

const MOUNT: Object = Object {
    required: &["type"],
    ..object(&[
        Field("type", 0, &TEXT),
        Field("source", 0, &TEXT),
        Field("target", 0, &TEXT),
        Field("read_only", 0, &BOOL),
        Field("consistency", 0, &TEXT),
        Field(
            "bind",
            0,
            &Rule::Object(&open(&[Field("propagation", 0, &TEXT)])),
        ),
        Field(
            "volume",
            0,
            &Rule::Object(&open(&[
                Field("nocopy", 0, &BOOL),
                Field("subpath", 0, &TEXT),
            ])),
        ),
        Field(
            "tmpfs",
            6,
            &Rule::Object(&open(&[Field("size", 0, &Rule::Scalar(&[Kind::Natural]))])),
        ),
    ])
};

const HEALTHCHECK: Object = object(&[
    Field("disable", 0, &BOOL),
    Field("interval", 0, &TEXT_OR_DURATION),
    Field("retries", 0, &NUMBER),
    Field("start_interval", 12, &DURATION),
    Field("start_period", 4, &DURATION),
    Field("test", 0, &COMMAND),
    Field("timeout", 0, &TEXT_OR_DURATION),
]);

const DEPLOY: Object = Object {
    null: Null::Allow,
    ..object(&[
        Field("endpoint_mode", 2, &TEXT),
        Field("labels", 0, &PAIRS),
        Field("mode", 0, &TEXT),
        Field("placement", 0, &Rule::Object(&PLACEMENT)),
        Field("replicas", 0, &INT),
        Field("resources", 0, &Rule::Object(&RESOURCES)),
        Field("restart_policy", 0, &Rule::Object(&RESTART_POLICY)),
        Field("rollback_config", 7, &Rule::Object(&UPDATE_CONFIG)),
        Field("update_config", 0, &Rule::Object(&UPDATE_CONFIG)),
    ])
};

const PLACEMENT: Object = object(&[
    Field("constraints", 0, &TEXTS),
    Field("max_replicas_per_node", 8, &INT),
    Field(
        "preferences",
        3,
        &Rule::List(
            &Rule::Object(&object(&[Field("spread", 0, &TEXT)])),
            Items::Free,
        ),
    ),
]);

const RESOURCES: Object = object(&[
    Field(
        "limits",
        0,
        &Rule::Object(&object(&[
            Field("cpus", 0, &TEXT),
            Field("memory", 0, &TEXT),
            Field("pids", 9, &INT),
        ])),
    ),
    Field(
        "reservations",
        0,
        &Rule::Object(&object(&[
            Field("cpus", 0, &TEXT),
            Field(
                "generic_resources",
                5,
                &Rule::List(&Rule::Object(&GENERIC_RESOURCE), Items::Free),
            ),
            Field("memory", 0, &TEXT),
        ])),
    ),
]);

const GENERIC_RESOURCE: Object = object(&[Field(
    "discrete_resource_spec",
    0,
    &Rule::Object(&object(&[
        Field("kind", 0, &TEXT),
        Field("value", 0, &NUMBER),
    ])),
)]);

const RESTART_POLICY: Object = object(&[
    Field("condition", 0, &TEXT),
    Field("delay", 0, &DURATION),
    Field("max_attempts", 0, &INT),
    Field("window", 0, &DURATION),
]);

const UPDATE_CONFIG: Object = object(&[
    Field("delay", 0, &DURATION),
    Field("failure_action", 0, &TEXT),
    Field("max_failure_ratio", 0, &NUMBER),
    Field("monitor", 0, &DURATION),
    Field("order", 4, &Rule::Choice(&["start-first", "stop-first"])),
    Field("parallelism", 0, &INT),
]);

const EXTERNAL: Rule = Rule::Either(&[&BOOL, &Rule::Object(&object(&[Field("name", 0, &TEXT)]))]);
const OPEN_EXTERNAL: Rule =
    Rule::Either(&[&BOOL, &Rule::Object(&open(&[Field("name", 0, &TEXT)]))]);

const NETWORK: Object = Object {
    extra: Extra::Extensions(7),
    null: Null::Allow,
    ..object(&[
        Field("attachable", 2, &BOOL),
        Field("driver", 0, &TEXT),
        Field("driver_opts", 0, &OPTIONS),
        Field("external", 0, &EXTERNAL),
        Field("internal", 0, &BOOL),
        Field("ipam", 0, &Rule::Object(&IPAM)),
        Field("labels", 0, &PAIRS),
        Field("name", 5, &TEXT),
    ])
};

const IPAM: Object = object(&[
    Field("driver", 0, &TEXT),
    Field(
        "config",
        0,
        &Rule::List(
            &Rule::Object(&object(&[Field("subnet", 0, &TEXT)])),
            Items::Free,
        ),
    ),
]);

const VOLUME: Object = Object {
    extra: Extra::Extensions(7),
    null: Null::Allow,
    ..object(&[
        Field("driver", 0, &TEXT),
        Field("driver_opts", 0, &OPTIONS),
        Field("external", 0, &EXTERNAL),
        Field("labels", 0, &PAIRS),
        Field("name", 4, &TEXT),
        // Only the engine's own volume commands make use of it; a stack never creates volumes.
        Field("x-cluster-spec", 10, &ANY_OBJECT),
    ])
};

const SECRET: Object = Object {
    extra: Extra::Extensions(7),
    ..object(&[
        Field("driver", 8, &TEXT),
        Field("driver_opts", 8, &OPTIONS),
        Field("external", 0, &OPEN_EXTERNAL),
        Field("file", 0, &TEXT),
        Field("labels", 0, &PAIRS),
        Field("name", 5, &TEXT),
        Field("template_driver", 8, &TEXT),
    ])
};

const CONFIG: Object = Object {
    extra: Extra::Extensions(7),
    ..object(&[
        Field("external", 0, &OPEN_EXTERNAL),
        Field("file", 0, &TEXT),
        Field("labels", 0, &PAIRS),
        Field("name", 5, &TEXT),
        Field("template_driver", 8, &TEXT),
    ])
};
