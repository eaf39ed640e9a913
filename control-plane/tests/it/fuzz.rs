//! Requests made up from the API's own description, most of them nearly right: whatever is sent, the answer
//! is one that the description knows, and never a fault of the control plane.
//!
//! The seed is fixed, so that a failure is found again; `TENANTRY_FUZZ_SEED` and `TENANTRY_FUZZ_ROUNDS` make
//! other and longer runs of it.

use std::collections::BTreeSet;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Map, Value, json};
use tenantry_test_support::Contract;

use crate::server::Server;

/// Requests to each operation.
const ROUNDS: u64 = 16;

#[expect(clippy::disallowed_methods, reason = "whoever looks for more says so there")]
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_answered_with_a_fault_or_what_is_not_described() {
    let seed = setting("TENANTRY_FUZZ_SEED", 20_261_121);
    let server = Server::with_acme().await;
    let contract = Contract::committed();
    let mut maker = Maker {
        contract,
        random: StdRng::seed_from_u64(seed),
        names: ["acme", "pro", "main", "*.example.com", "acme.example.com"]
            .map(str::to_owned)
            .into(),
    };
    let mut done = BTreeSet::new();
    let rounds = setting("TENANTRY_FUZZ_ROUNDS", ROUNDS);
    // Requests that are refused at the door would find nothing: it goes on until these were good once.
    let needed = ["createTenant", "createPlan", "createUpstream", "addDomain", "createKey"];
    for round in 0..rounds * 10 {
        if round >= rounds && needed.iter().all(|id| done.contains(id)) {
            break;
        }
        let mut operations: Vec<_> = contract.operations().collect();
        operations.shuffle(&mut maker.random);
        for (path, method, operation) in operations {
            // What is gone can be asked for no more.
            let ends = method == "delete" || path.ends_with("/suspend") || path.ends_with("/purge");
            if ends && maker.chance(75) {
                continue;
            }
            let (line, headers, body) = maker.request(path, method, operation);
            let shown = format!("seed {seed}, round {round}: {line}\n{headers}\n{body}");
            let sent = tokio::spawn(server.sending(&line, &headers, &body));
            // What the description does not know fails in there.
            let answer = sent.await.unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert!(answer.status < 500, "{shown}\n{}: {}", answer.status, answer.body);
            if answer.status < 300 {
                done.insert(operation["operationId"].as_str().unwrap());
            }
            if let Ok(Value::Object(members)) = serde_json::from_str(&answer.body) {
                let found = ["id", "slug", "host"].map(|name| members.get(name).cloned());
                let found = found.into_iter().flatten();
                maker.names.extend(found.filter_map(|name| name.as_str().map(str::to_owned)));
            }
        }
    }
    for id in needed {
        assert!(done.contains(id), "no {id} was ever good: {done:?}");
    }
}

/// Makes requests up.
struct Maker {
    contract: &'static Contract,
    random: StdRng,
    /// Names of what may exist.
    names: Vec<String>,
}

impl Maker {
    fn request(&mut self, path: &str, method: &str, operation: &Value) -> (String, String, String) {
        let mut target = String::new();
        for segment in path.split('/').skip(1) {
            let name = if segment.starts_with('{') { self.name() } else { segment.to_owned() };
            target += &format!("/{}", encoded(&name));
        }
        let (mut query, mut headers) = (Vec::new(), String::new());
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in &parameters {
            let parameter = self.contract.resolved(parameter);
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str().unwrap() {
                "query" if self.chance(30) => {
                    let value = self.value(&parameter["schema"], 0);
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    query.push(format!("{name}={}", encoded(&text)));
                }
                "header" if self.chance(20) => {
                    let value =
                        self.pick(&["\"1\"", "*", "W/\"7\"", "x", "\"999999\", \"a\"", "key-1"]);
                    headers += &format!("{name}: {value}\r\n");
                }
                _ => {}
            }
        }
        if self.chance(5) {
            query.push("unknown=1".to_owned());
        }
        if !query.is_empty() {
            target += &format!("?{}", query.join("&"));
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = match schema {
            Value::Null if self.chance(95) => String::new(),
            _ if self.chance(3) => {
                self.pick(&["", "{", "[]", "null", "\"x\"", "{\"a\":1,\"a\":2}"]).to_owned()
            }
            schema if method == "patch" && self.chance(80) => {
                let names = [
                    "name",
                    "plan",
                    "limits",
                    "access",
                    "id",
                    "labels",
                    "endpoints",
                    "match",
                    "nothing",
                ];
                let mut patch = Map::new();
                for _ in 0..self.random.random_range(0..3) {
                    patch.insert(self.pick(&names).to_owned(), self.anything(0));
                }
                let _ = schema;
                Value::Object(patch).to_string()
            }
            schema => self.value(schema, 0).to_string(),
        };
        (format!("{} {target}", method.to_ascii_uppercase()), headers, body)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())]
    }

    fn name(&mut self) -> String {
        match self.random.random_range(0..10) {
            0 => self.text(0, 80),
            1 => format!("n{}", self.random.random_range(0..1000)),
            2 => "ten_01HZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(),
            _ => self.names[self.random.random_range(0..self.names.len())].clone(),
        }
    }

    fn text(&mut self, least: usize, most: usize) -> String {
        let characters: Vec<_> =
            "abcxyz019-_.:/ %?\"\\<{\u{0}\n\u{e4}\u{202e}\u{1f600}".chars().collect();
        if self.chance(85) {
            return "name".repeat(least.div_ceil(4).max(1));
        }
        let length = self.random.random_range(least..=most.max(least));
        (0..length).map(|_| self.pick(&characters)).collect()
    }

    fn anything(&mut self, depth: usize) -> Value {
        match self.random.random_range(0..9) {
            0 => Value::Null,
            1 => json!(self.random.random_bool(0.5)),
            2 => json!(self.pick(&[0_i64, -1, 1, i64::MAX, i64::MIN, 4_294_967_296])),
            3 => json!(self.pick(&[0.5, 1e300, -0.0])),
            4 => json!(self.text(0, 40)),
            5 => json!("x".repeat(self.pick(&[63, 64, 255, 5000]))),
            6 if depth < 4 => json!([self.anything(depth + 1), self.anything(depth + 1)]),
            7 if depth < 4 => json!({ self.text(0, 8): self.anything(depth + 1) }),
            _ => json!({}),
        }
    }

    /// A value of a schema, most of the time.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > 8 || self.chance(1) {
            return self.anything(depth.min(4));
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let known = self.known(reference.rsplit('/').next().unwrap());
            if let Some(known) = known {
                return known;
            }
        }
        let schema = self.contract.resolved(schema);
        if let Some(values) = schema["enum"].as_array() {
            return values[self.random.random_range(0..values.len())].clone();
        }
        let choices = schema["oneOf"].as_array();
        if let Some(choices) = choices.filter(|_| schema["properties"].is_null()) {
            let choice = &choices[self.random.random_range(0..choices.len())];
            return self.value(choice, depth + 1);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[self.random.random_range(0..kinds.len())].clone(),
            kind => kind.clone(),
        };
        match kind.as_str() {
            Some("object") => self.object(schema, depth),
            Some("array") => {
                let count = self.random.random_range(0..3);
                (0..count).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            Some("integer") => {
                let least = schema["minimum"].as_i64().unwrap_or(0);
                let most = schema["maximum"].as_i64().unwrap_or(least + 1000);
                let inside = self.random.random_range(least..=most);
                let edge = self.pick(&[least, most, least - 1, most.saturating_add(1)]);
                json!(if self.chance(90) { inside } else { edge })
            }
            Some("boolean") => json!(self.random.random_bool(0.5)),
            Some("string") => {
                let least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).unwrap();
                let most = schema["maxLength"].as_u64().unwrap_or(60).min(300);
                json!(self.text(least, usize::try_from(most).unwrap()))
            }
            Some("null") => Value::Null,
            _ => self.anything(depth.min(4)),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        let mut required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
        let choices = schema["oneOf"].as_array();
        if let Some(choices) = choices {
            let choice = &choices[self.random.random_range(0..choices.len())];
            required.extend(choice["required"].as_array().into_iter().flatten());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.iter().any(|required| *required == name);
            if self.chance(if is_required { 97 } else { 15 }) {
                object.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        let more = &schema["additionalProperties"];
        if more.is_object() && self.chance(50) {
            object.insert(self.text(1, 8), self.value(more, depth + 1));
        }
        if self.chance(2) {
            object.insert("unknwon".to_owned(), Value::Null);
        }
        Value::Object(object)
    }

    /// What a pattern alone would hardly ever meet.
    fn known(&mut self, schema: &str) -> Option<Value> {
        let number = self.random.random_range(0..500);
        Some(match schema {
            "Slug" | "FeatureId" | "RouteId" | "LimitName" | "Scope" | "RegionId" => {
                json!(format!("n{number}"))
            }
            "PlanId" => json!(self.pick(&["pro", "pro", "pro", "other"])),
            "UpstreamId" => json!(self.pick(&["main", "main", "other"])),
            "DomainPattern" => json!(format!("{}n{number}.example.com", self.pick(&["", "*."]))),
            "Host" | "ServerName" => json!(format!("n{number}.example.com")),
            "EndpointAddress" => json!(format!("127.0.0.1:{}", 1 + number)),
            "Timestamp" => json!(format!("2{:03}-01-01T00:00:00Z", number)),
            "PathPrefix" | "ExactPath" | "CheckPath" => json!(format!("/n{number}")),
            "Method" => json!(self.pick(&["GET", "POST", "get"])),
            "Networks" => {
                json!([self.pick(&["10.0.0.0/8", "2001:db8::/32", "10.0.0.1/8", "1.2.3.4"])])
            }
            "TenantId" => json!(self.name()),
            _ => return None,
        })
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
