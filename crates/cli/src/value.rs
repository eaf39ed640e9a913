//! Values on the command line that have a spelling of their own.

use std::num::NonZeroU32;

use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tenantry_model::{
    AccessLogging, BillingPeriod, Bounded, EndpointAddress, FeatureDefault, FeatureId, PeriodUnit,
    RateLimit, UpstreamId, access::Networks, route::HeaderMatch,
};

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Switch {
    /// As JSON has it.
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

/// `reports=on`, `reports=off`, or `reports=inherit` to leave it to the plan again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeatureOverride {
    pub(crate) feature: FeatureId,
    /// None leaves it to the plan.
    pub(crate) setting: Option<Switch>,
}

pub(crate) fn feature_override(text: &str) -> Result<FeatureOverride, String> {
    let (feature, setting) = text
        .split_once('=')
        .ok_or("write FEATURE=on, FEATURE=off or FEATURE=inherit, such as reports=on")?;
    let setting = match setting {
        "on" => Some(Switch::On),
        "off" => Some(Switch::Off),
        "inherit" => None,
        _ => return Err(format!("{setting:?} is not one of on, off, inherit")),
    };
    Ok(FeatureOverride { feature: feature.parse().map_err(text_of)?, setting })
}

/// `on`, `off`, or a share of tenants such as `25%`.
pub(crate) fn feature_default(text: &str) -> Result<FeatureDefault, String> {
    const SPELLING: &str = "write on, off, or a share of tenants from 0% to 100%";
    match text {
        "on" => Ok(FeatureDefault::On),
        "off" => Ok(FeatureDefault::Off),
        share => {
            let number = share.strip_suffix('%').and_then(|number| number.parse::<u64>().ok());
            let percentage = Bounded::try_from(number.ok_or(SPELLING)?).map_err(|_| SPELLING)?;
            Ok(FeatureDefault::Percentage(percentage))
        }
    }
}

/// How much of a tenant is in the access log; none takes the setting away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccessLogChoice(pub(crate) Option<AccessLogging>);

/// `all`, `off`, `1/N` or `inherit`.
pub(crate) fn access_logging(text: &str) -> Result<AccessLogChoice, String> {
    let one_in = |text: &str| text.strip_prefix("1/")?.parse().ok().map(AccessLogging::OneIn);
    let logging = match text {
        "inherit" => None,
        "off" => Some(AccessLogging::Off),
        "all" => Some(AccessLogging::OneIn(NonZeroU32::MIN)),
        share => Some(one_in(share).ok_or("write all, off, inherit, or a share such as 1/100")?),
    };
    Ok(AccessLogChoice(logging))
}

/// `burst=100/1s:200` is the limit `burst`: 100 requests in a second, 200 at once. The part behind
/// the colon may be left out; the window is in `s`, `m`, `h` or `d`, and a bare unit means one. With
/// `@client`, `@key` or `@route` at its end, each of those has its own.
pub(crate) fn rate_limit(text: &str) -> Result<RateLimit, String> {
    const SPELLING: &str = "write NAME=QUOTA/WINDOW or NAME=QUOTA/WINDOW:BURST, such as \
                            burst=100/1s:200 or daily=10000/1d; @client, @key or @route \
                            may stand at the end";
    let (text, per) = text.rsplit_once('@').unwrap_or((text, "tenant"));
    let (name, rate) = text.split_once('=').ok_or(SPELLING)?;
    let (quota, window) = rate.split_once('/').ok_or(SPELLING)?;
    let (window, burst) = match window.split_once(':') {
        Some((window, burst)) => (window, Some(number(burst)?)),
        None => (window, None),
    };
    let limit = json!({
        "name": name, "quota": number(quota)?, "window_seconds": seconds(window)?, "burst": burst,
        "per": per,
    });
    serde_json::from_value(limit).map_err(text_of)
}

/// The model refuses zero too, in words about JSON.
fn number(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number from 1 to {}", u32::MAX))
}

fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is not a window; write it as 1s, 5m, 1h or 1d");
    let unit = text.char_indices().next_back().ok_or_else(wrong)?;
    let (count, seconds_each) = match unit {
        (at, 's') => (text.get(..at), 1),
        (at, 'm') => (text.get(..at), 60),
        (at, 'h') => (text.get(..at), 3600),
        (at, 'd') => (text.get(..at), 86_400),
        _ => return Err(wrong()),
    };
    let count = match count {
        None | Some("") => 1,
        Some(count) => count.parse::<NonZeroU32>().map_err(|_| wrong())?.get(),
    };
    count.checked_mul(seconds_each).ok_or_else(wrong)
}

/// `0s`, `90s`, `5m`, `1h` or `7d`, in seconds.
pub(crate) fn seconds_or_none(text: &str) -> Result<u64, String> {
    match text {
        "0" | "0s" => Ok(0),
        text => seconds(text).map(u64::from),
    }
}

/// `10.0.0.1:8080`, or with a weight `10.0.0.1:8080@3`; the endpoint as JSON has it.
pub(crate) fn endpoint(text: &str) -> Result<Value, String> {
    let (address, weight) = match text.rsplit_once('@') {
        Some((address, weight)) => {
            let wrong = |_| format!("the weight {weight:?} is not a number from 1 to 65535");
            (address, weight.parse::<std::num::NonZeroU16>().map_err(wrong)?)
        }
        None => (text, std::num::NonZeroU16::MIN),
    };
    let address: EndpointAddress = address.parse().map_err(text_of)?;
    Ok(json!({"address": address, "weight": weight}))
}

/// `canary=5`: an upstream and its weight, as JSON has it.
pub(crate) fn share(text: &str) -> Result<Value, String> {
    let (upstream, weight) = text.split_once('=').ok_or("write UPSTREAM=WEIGHT")?;
    let upstream: UpstreamId = upstream.parse().map_err(text_of)?;
    let wrong = |_| format!("the weight {weight:?} is not a number from 1 to 65535");
    let weight = weight.parse::<std::num::NonZeroU16>().map_err(wrong)?;
    Ok(json!({"upstream": upstream, "weight": weight}))
}

/// `x-version=2`, or `x-version` for any value; the condition as JSON has it.
pub(crate) fn header_match(text: &str) -> Result<Value, String> {
    let condition = match text.split_once('=') {
        Some((name, value)) => json!({"name": name, "value": value}),
        None => json!({"name": text}),
    };
    serde_json::from_value::<HeaderMatch>(condition.clone()).map_err(text_of)?;
    Ok(condition)
}

/// `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A network in CIDR form or an address.
pub(crate) fn network(text: &str) -> Result<String, String> {
    Networks::try_from(vec![text.to_owned()]).map(|_| text.to_owned()).map_err(text_of)
}

/// One of a closed set of words, as JSON spells them.
pub(crate) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(text_of)
}

/// Any JSON.
pub(crate) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(text_of)
}

fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The text of a file.
pub(crate) fn text_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// A number and a unit: `1month`, `30days`.
pub(crate) fn period(text: &str) -> Result<BillingPeriod, String> {
    let refused = || "write it as a number from 1 to 36 and day, month or year: 1month".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at_checked(digits).ok_or_else(refused)?;
    let count: u64 = count.parse().map_err(|_| refused())?;
    let (unit, count) = match unit {
        "day" | "days" | "d" => (PeriodUnit::Day, count),
        "month" | "months" => (PeriodUnit::Month, count),
        "year" | "years" | "y" => (PeriodUnit::Month, count.saturating_mul(12)),
        _ => return Err(refused()),
    };
    Ok(BillingPeriod { unit, count: count.try_into().map_err(|_| refused())? })
}

/// `key=value`: the value as JSON, or, if it is none, as text; nothing is null.
pub(crate) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    let value = match value {
        "" => Value::Null,
        _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    };
    Ok((key.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use tenantry_model::AuthRequirement;

    use super::*;

    fn check_limit(text: &str, expected: Result<(u32, u32, u32), &str>) {
        match (rate_limit(text), expected) {
            (Ok(limit), Ok(expected)) => {
                let got = (limit.quota().get(), limit.window_seconds().get(), limit.burst().get());
                assert_eq!(got, expected, "{text}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn rate_limits() {
        check_limit("burst=100/1s:200", Ok((100, 1, 200)));
        check_limit("burst=100/s", Ok((100, 1, 100)));
        check_limit("daily=1000000/1d", Ok((1_000_000, 86_400, 1_000_000)));
        check_limit("a=5/60s:5", Ok((5, 60, 5)));
        check_limit("a=5/2m", Ok((5, 120, 5)));
        check_limit("a=5/1h:1", Ok((5, 3600, 1)));
        check_limit("a", Err("NAME=QUOTA/WINDOW"));
        check_limit("a=5", Err("NAME=QUOTA/WINDOW"));
        check_limit("a=0/1s", Err("from 1"));
        check_limit("a=5/0s", Err("window"));
        check_limit("a=5/1", Err("window"));
        check_limit("a=5/", Err("window"));
        check_limit("a=5/1é", Err("window"));
        check_limit("a=5/1s:0", Err("from 1"));
        check_limit("a=5/4000000000d", Err("window"));
        check_limit("a=5/32d", Err("31 days"));
        check_limit("A=5/1s", Err("limit name"));
        check_limit("a=5/1m:9@client", Ok((5, 60, 9)));
        assert_eq!(rate_limit("a=5/1m@key").unwrap().per(), tenantry_model::LimitScope::Key);
        check_limit("a=5/1m@planet", Err("unknown variant"));
    }

    #[test]
    fn defaults_of_features() {
        let json = |text| feature_default(text).map(|default| json!(default));
        assert_eq!(json("on"), Ok(json!(true)));
        assert_eq!(json("off"), Ok(json!(false)));
        assert_eq!(json("25%"), Ok(json!({"percentage": 25})));
        for bad in ["", "25", "101%", "-1%", "2.5%", "%", "yes"] {
            assert!(feature_default(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn features() {
        let setting = |text: &str| feature_override(text).map(|feature| feature.setting);
        assert_eq!(setting("reports=on"), Ok(Some(Switch::On)));
        assert_eq!(setting("reports=off"), Ok(Some(Switch::Off)));
        assert_eq!(setting("reports=inherit"), Ok(None));
        for bad in ["reports", "reports=", "reports=true", "=on", "Re ports=on"] {
            assert!(feature_override(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        assert_eq!(endpoint("a.test:80").unwrap(), json!({"address": "a.test:80", "weight": 1}));
        assert_eq!(endpoint("[::1]:80@3").unwrap(), json!({"address": "[::1]:80", "weight": 3}));
        for bad in ["a.test", "a.test:80@0", "a.test:80@x", "a.test:0"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_networks_and_pairs() {
        assert_eq!(word("api_key"), Ok(AuthRequirement::ApiKey));
        assert!(word::<AuthRequirement>("some").unwrap_err().contains("`any`"));
        assert!(network("10.0.0.0/8").is_ok());
        assert!(network("10.0.0.1/8").is_err());
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err());
    }
}
