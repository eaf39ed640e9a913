//! A directory answers as looking at every tenant would.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeMap, ops::ControlFlow};

use proptest::{collection::vec, prelude::*, sample::select};
use tenantry_directory::{Directory, Entry, Filter, Order, Question, SortField};
use tenantry_model::{
    Revision, Tenant, TenantId, TenantProfile, TenantSpec, TenantState, Timestamp,
};

/// A tenant, as plainly as it can be written down.
#[derive(Debug, Clone)]
struct Plain {
    id: TenantId,
    slug: String,
    name: String,
    state: TenantState,
    plan: &'static str,
    group: Option<&'static str>,
    tier: Option<&'static str>,
    created_at: u64,
    updated_at: u64,
}

impl Plain {
    fn entry(&self) -> Entry {
        let mut spec: TenantSpec = TenantSpec::new(
            self.slug.parse().unwrap(),
            self.name.clone(),
            self.plan.parse().unwrap(),
        );
        spec.group = self.group.map(|group| group.parse().unwrap());
        spec.labels =
            self.tier.map(|tier| ("tier".to_owned(), tier.to_owned())).into_iter().collect();
        let (tenant, profile): (Tenant, TenantProfile) = spec.split(self.id, self.state);
        let at = Timestamp::from_unix_ms;
        Entry::new(&tenant, &profile, at(self.created_at), at(self.updated_at), Revision::new(7))
    }

    fn key(&self, field: SortField) -> (u64, String) {
        match field {
            SortField::CreatedAt => (self.created_at, String::new()),
            SortField::UpdatedAt => (self.updated_at, String::new()),
            SortField::Slug => (0, self.slug.clone()),
            SortField::Name => (0, self.name.to_lowercase()),
        }
    }

    fn has(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.slug.contains(&text)
            || self.name.to_lowercase().contains(&text)
            || text.to_uppercase() == self.id.to_string().to_uppercase()
                && text == self.id.to_string()
    }
}

/// A filter, and what it means.
#[derive(Debug, Clone)]
enum Asked {
    State(TenantState),
    Plan(&'static str),
    NotPlan(&'static str),
    Group(&'static str),
    AnyGroup,
    Tier(&'static str),
    AnyTier,
    Slug(String),
    InSlug(String),
    Name(String),
    InName(String),
    Created(&'static str, u64),
    Updated(&'static str, u64),
    Not(Box<Asked>),
    All(Vec<Asked>),
    Any(Vec<Asked>),
}

impl Asked {
    fn text(&self) -> String {
        let joined = |parts: &[Self], word: &str| {
            let parts: Vec<_> = parts.iter().map(|part| format!("({})", part.text())).collect();
            parts.join(&format!(" {word} "))
        };
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let time = |at: &u64| Timestamp::from_unix_ms(*at).to_string();
        match self {
            Self::State(state) => format!("state = {}", state.as_str()),
            Self::Plan(plan) => format!("plan={plan}"),
            Self::NotPlan(plan) => format!("plan != {plan}"),
            Self::Group(group) => format!("group = {group}"),
            Self::AnyGroup => "group:*".to_owned(),
            Self::Tier(tier) => format!("labels.tier = \"{tier}\""),
            Self::AnyTier => "labels.tier:*".to_owned(),
            Self::Slug(slug) => format!("slug = {}", quoted(slug)),
            Self::InSlug(text) => format!("slug:{}", quoted(text)),
            Self::Name(name) => format!("name = {}", quoted(name)),
            Self::InName(text) => format!("name:{}", quoted(text)),
            Self::Created(operator, at) => format!("created_at {operator} {}", time(at)),
            Self::Updated(operator, at) => format!("updated_at {operator} {}", time(at)),
            Self::Not(part) => format!("NOT ({})", part.text()),
            Self::All(parts) => joined(parts, "AND"),
            Self::Any(parts) => joined(parts, "OR"),
        }
    }

    fn holds(&self, tenant: &Plain) -> bool {
        let compared = |left: u64, operator: &str, right: u64| match operator {
            "<" => left < right,
            "<=" => left <= right,
            ">" => left > right,
            _ => left >= right,
        };
        match self {
            Self::State(state) => tenant.state == *state,
            Self::Plan(plan) => tenant.plan == *plan,
            Self::NotPlan(plan) => tenant.plan != *plan,
            Self::Group(group) => tenant.group == Some(group),
            Self::AnyGroup => tenant.group.is_some(),
            Self::Tier(tier) => tenant.tier == Some(tier),
            Self::AnyTier => tenant.tier.is_some(),
            Self::Slug(slug) => tenant.slug == slug.to_lowercase(),
            Self::InSlug(text) => tenant.slug.contains(&text.to_lowercase()),
            Self::Name(name) => tenant.name.to_lowercase() == name.to_lowercase(),
            Self::InName(text) => tenant.name.to_lowercase().contains(&text.to_lowercase()),
            Self::Created(operator, at) => compared(tenant.created_at, operator, *at),
            Self::Updated(operator, at) => compared(tenant.updated_at, operator, *at),
            Self::Not(part) => !part.holds(tenant),
            Self::All(parts) => parts.iter().all(|part| part.holds(tenant)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(tenant)),
        }
    }
}

// In the last one, each three characters of `acmeb` stand somewhere, but not one behind the other.
const NAMES: [&str; 7] =
    ["Acme", "ACME Corp", "Beta \"B\" (Ltd)", "Ébène", "aa", "a b", "acm cme meb"];
const TEXTS: [&str; 10] = ["acmeb", "a", "ac", "acm", "acme", "ME CO", "éb", "b)", "t-1", "zzz"];

fn tenants() -> impl Strategy<Value = Vec<Plain>> {
    let one = (
        0..60_u128,
        0..100_u32,
        select(&NAMES[..]),
        select(&TenantState::ALL[..]),
        select(&["pro", "free"][..]),
        select(&[None, Some("eu"), Some("us")][..]),
        select(&[None, Some("gold"), Some("a b")][..]),
        (0..6_u64, 0..6_u64),
    );
    let one =
        one.prop_map(|(id, slug, name, state, plan, group, tier, (created, updated))| Plain {
            id: TenantId::from_parts(1, id),
            slug: format!("t-{slug}"),
            name: name.to_owned(),
            state,
            plan,
            group,
            tier,
            created_at: 1000 * created,
            updated_at: 1000 * updated,
        });
    vec(one, 0..120)
}

fn asked() -> impl Strategy<Value = Asked> {
    let text = || select(&TEXTS[..]).prop_map(str::to_owned);
    let operator = || select(&["<", "<=", ">", ">="][..]);
    let leaf = prop_oneof![
        select(&TenantState::ALL[..]).prop_map(Asked::State),
        select(&["pro", "free", "none"][..]).prop_map(Asked::Plan),
        select(&["pro", "free"][..]).prop_map(Asked::NotPlan),
        select(&["eu", "asia"][..]).prop_map(Asked::Group),
        Just(Asked::AnyGroup),
        select(&["gold", "a b"][..]).prop_map(Asked::Tier),
        Just(Asked::AnyTier),
        (0..100).prop_map(|slug| Asked::Slug(format!("T-{slug}"))),
        text().prop_map(Asked::InSlug),
        select(&NAMES[..]).prop_map(|name| Asked::Name(name.to_uppercase())),
        text().prop_map(Asked::InName),
        (operator(), 0..6_u64).prop_map(|(operator, at)| Asked::Created(operator, 1000 * at)),
        (operator(), 0..6_u64).prop_map(|(operator, at)| Asked::Updated(operator, 1000 * at)),
    ];
    leaf.prop_recursive(3, 12, 3, |part| {
        prop_oneof![
            part.clone().prop_map(|part| Asked::Not(Box::new(part))),
            vec(part.clone(), 1..3).prop_map(Asked::All),
            vec(part, 1..3).prop_map(Asked::Any),
        ]
    })
}

/// Every page of an answer, one behind the other.
fn walk(
    directory: &Directory,
    question: &Question,
    limit: usize,
    mut between: impl FnMut(usize) -> ControlFlow<()>,
) -> Vec<TenantId> {
    let mut question = question.clone();
    let mut seen = Vec::new();
    loop {
        let found = directory.find(&question, limit);
        assert!(found.tenants.len() <= limit);
        assert!(seen.len() <= directory.len(), "a walk that does not end");
        assert!(found.next.is_none() || found.tenants.len() == limit, "a short page is the last");
        seen.extend(found.tenants.into_iter().map(|(id, _)| id));
        let stopped = between(seen.len()).is_break();
        question.after = found.next;
        if question.after.is_none() || stopped {
            return seen;
        }
    }
}

proptest! {
    #[test]
    fn a_walk_finds_what_looking_at_all_finds(
        written in tenants(),
        removed in vec(0..60_u128, 0..8),
        asked in proptest::option::of(asked()),
        text in proptest::option::of(select(&TEXTS[..])),
        field in select(&SortField::ALL[..]),
        is_descending: bool,
        limit in 1..8_usize,
    ) {
        let mut directory = Directory::default();
        let mut known = BTreeMap::new();
        for tenant in written {
            directory.put(tenant.entry());
            known.insert(tenant.id, tenant);
        }
        for id in removed {
            let id = TenantId::from_parts(1, id);
            directory.remove(id);
            known.remove(&id);
        }
        prop_assert_eq!(directory.len(), known.len());
        let filter: Option<Filter> = asked.as_ref().map(|asked| asked.text().parse().unwrap());
        let order = Order { field, is_descending };
        let question =
            Question { filter, text: text.map(str::to_owned), order, after: None };
        let mut expected: Vec<_> = known
            .values()
            .filter(|tenant| asked.as_ref().is_none_or(|asked| asked.holds(tenant)))
            .filter(|tenant| text.is_none_or(|text| tenant.has(text)))
            .collect();
        expected.sort_by_key(|tenant| (tenant.key(field), tenant.id));
        if is_descending {
            expected.reverse();
        }
        let expected: Vec<_> = expected.into_iter().map(|tenant| tenant.id).collect();
        prop_assert_eq!(walk(&directory, &question, limit, |_| ControlFlow::Continue(())), expected);
    }

    #[test]
    fn no_text_panics_as_a_filter(text in "\\PC{0,60}") {
        let _ = text.parse::<Filter>();
    }

    #[test]
    fn nothing_that_looks_like_a_filter_panics(
        words in vec(select(&["AND", "OR", "NOT", "(", ")", "plan", "=", "!=", ":", "*", "\"", "\\", " ", "a", "created_at", "<"][..]), 0..30),
    ) {
        let _ = words.concat().parse::<Filter>();
        let _ = words.join(" ").parse::<Filter>();
    }
}

#[test]
fn both_ways_of_finding_a_page_are_taken_and_agree() {
    let mut directory = Directory::default();
    for number in 0..2000_u64 {
        let tenant = Plain {
            id: TenantId::from_parts(number, 7),
            slug: format!("tenant-{number:04}"),
            name: format!("Tenant {:04}", 1999 - number),
            state: TenantState::Active,
            plan: if number % 500 == 3 { "pro" } else { "free" },
            group: None,
            tier: None,
            created_at: number,
            updated_at: 0,
        };
        directory.put(tenant.entry());
    }
    let ask = |filter: &str, order: &str| Question {
        filter: Some(filter.parse().unwrap()),
        order: order.parse().unwrap(),
        ..Question::default()
    };
    // Four of two thousand are sorted, all others but those are walked to.
    let few = directory.find(&ask("plan = pro", "name"), 3);
    assert_eq!(few.tenants.len(), 3);
    assert_eq!(few.tenants[0].0, TenantId::from_parts(1503, 7));
    let more = directory.find(&Question { after: few.next, ..ask("plan = pro", "name") }, 3);
    assert_eq!(more.tenants, [(TenantId::from_parts(3, 7), Revision::new(7))]);
    let last = directory.find(&ask("plan = pro", "name desc"), 3);
    assert_eq!(last.tenants[0].0, TenantId::from_parts(3, 7));
    let first = directory.find(&Question { after: last.next, ..ask("plan = pro", "name desc") }, 3);
    assert_eq!(first.tenants, [(TenantId::from_parts(1503, 7), Revision::new(7))]);
    let many = directory.find(&ask("plan = free", "slug desc"), 3);
    assert_eq!(many.tenants[0].0, TenantId::from_parts(1999, 7));
}

#[test]
fn who_stays_is_seen_once_whatever_comes_and_goes() {
    let tenant = |number: u64| Plain {
        id: TenantId::from_parts(number, 1),
        slug: format!("tenant-{number:04}"),
        name: "Tenant".to_owned(),
        state: TenantState::Active,
        plan: "pro",
        group: None,
        tier: None,
        created_at: number,
        updated_at: number,
    };
    let mut directory = Directory::default();
    (0..100).for_each(|number| directory.put(tenant(2 * number).entry()));
    let mut question = Question { order: "name".parse().unwrap(), ..Question::default() };
    let mut seen = Vec::new();
    loop {
        let found = directory.find(&question, 7);
        seen.extend(found.tenants.into_iter().map(|(id, _)| id));
        // The last one that was shown goes, and others come before and behind it.
        let last = seen[seen.len() - 1].to_u128() >> 80;
        let last = u64::try_from(last).unwrap();
        directory.remove(TenantId::from_parts(last, 1));
        directory.put(tenant(last + 1).entry());
        directory.put(tenant(1).entry());
        question.after = found.next;
        if question.after.is_none() {
            break;
        }
    }
    let stayed = (0..100).map(|number| TenantId::from_parts(2 * number, 1));
    let missed: Vec<_> = stayed.filter(|id| !seen.contains(id)).collect();
    assert_eq!(missed, []);
    let mut once = seen.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), seen.len());
}

#[test]
fn a_wrong_filter_says_where_and_what() {
    for (text, at, problem) in [
        ("", 1, "a comparison such as plan = pro"),
        ("plan", 5, "one of = != : < <= > >="),
        ("plan =", 7, "a value"),
        ("plan = pro AND", 12, "AND, OR or the end"),
        ("plan = pro and state = active", 12, "AND, OR or the end"),
        ("plan = pro AND (state = active", 31, "`)`"),
        ("plan = pro AND state = active OR plan = free", 30, "parentheses"),
        ("plan = pro OR state = active AND plan = free", 29, "parentheses"),
        ("name = \"open", 13, "within quotes"),
        ("color = red", 1, "there is no field `color`"),
        ("plan = pro AND state = angry", 16, "provisioning, active, suspended, deleting"),
        ("plan < pro", 1, "`=` or `!=`"),
        ("group:eu", 1, "`:*`"),
        ("created_at = 2026-01-01T00:00:00Z", 1, "`<`"),
        ("created_at > yesterday", 1, "RFC 3339"),
        ("id = acme", 1, "ten_"),
    ] {
        let error = text.parse::<Filter>().unwrap_err();
        assert!(error.problem.contains(problem), "{text}: {error}");
        assert_eq!(error.at, at, "{text}: {error}");
    }
    let deep = format!("{}plan = pro{}", "(".repeat(33), ")".repeat(33));
    assert!(deep.parse::<Filter>().is_err());
    assert!("a".repeat(2001).parse::<Filter>().is_err());
}

#[test]
fn an_order_is_a_field_and_a_direction() {
    for (text, field, is_descending) in [
        ("name", SortField::Name, false),
        ("slug asc", SortField::Slug, false),
        ("updated_at  desc", SortField::UpdatedAt, true),
    ] {
        assert_eq!(text.parse(), Ok(Order { field, is_descending }), "{text}");
    }
    for text in ["", "plan", "name down", "name desc desc", "-name"] {
        assert!(text.parse::<Order>().is_err(), "{text}");
    }
}
