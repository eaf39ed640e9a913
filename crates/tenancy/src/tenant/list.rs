//! Lists of tenants: found in the directory, shown from the store.
//!
//! A page shows its tenants as of one revision, which is not older than the request. Its cursor says
//! behind which tenant the next page begins, in which order; it pins no state, so a walk may take
//! days. Who is there throughout, and keeps its place in the order, is seen exactly once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tenantry_directory::{Filter, Order, Position, Question};
use tenantry_model::{GroupId, PlanId, RegionId, ResourceKind, TenantId, TenantState};
use tenantry_store::Revision;

use crate::{
    Error, LabelSelector, Listing, PageRequest, Tenancy, TenantRecord, Versioned, layout,
    listing::{bound, unbound},
};

/// The most characters that are searched for.
const MAX_TEXT_CHARACTERS: usize = 200;

/// Which tenants are listed, and in which order; each part that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantFilter {
    /// This one only.
    pub id: Option<TenantId>,
    /// In this state.
    pub state: Option<TenantState>,
    /// On this plan.
    pub plan: Option<PlanId>,
    /// In this group.
    pub group: Option<GroupId>,
    /// In this region.
    pub region: Option<RegionId>,
    /// With this label.
    pub label: Option<LabelSelector>,
    /// With this in their slug or name, whatever the case, or with this id.
    pub text: Option<String>,
    /// For which this holds.
    pub filter: Option<Filter>,
    /// In this order.
    pub order: Order,
}

impl TenantFilter {
    fn question(&self, after: Option<Position>) -> Question {
        let field =
            |field: &str, value: Option<&str>| value.map(|value| Filter::field(field, value));
        let all = [
            self.id.map(Filter::id),
            field("state", self.state.map(TenantState::as_str)),
            field("plan", self.plan.as_ref().map(PlanId::as_str)),
            field("group", self.group.as_ref().map(GroupId::as_str)),
            field("region", self.region.as_ref().map(RegionId::as_str)),
            self.label.as_ref().map(LabelSelector::filter),
            self.filter.clone(),
        ];
        let all: Vec<_> = all.into_iter().flatten().collect();
        let filter = (!all.is_empty()).then_some(Filter::All(all));
        Question { filter, text: self.text.clone(), order: self.order, after }
    }

    /// What a cursor is bound to.
    fn binding(&self) -> String {
        format!("{self:?}")
    }
}

impl Tenancy {
    /// Tenants, in the order that is asked for: as they were made, if none is.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`], [`Error::InvalidCursor`], or what reading can end in.
    pub async fn tenants(
        &self,
        filter: &TenantFilter,
        request: &PageRequest,
    ) -> Result<Listing<TenantRecord>, Error> {
        let Listing { items: found, at, next_cursor } = self.find_tenants(filter, request).await?;
        let mut items = Vec::with_capacity(found.len());
        for tenant in found {
            items.push(self.tenant_at(tenant.value, at).await?);
        }
        Ok(Listing { items, at, next_cursor })
    }

    /// The same, but only which tenants, each with the revision that last wrote it: for who knows
    /// what they were at that revision.
    ///
    /// # Errors
    /// As [`tenants`](Self::tenants).
    pub async fn find_tenants(
        &self,
        filter: &TenantFilter,
        request: &PageRequest,
    ) -> Result<Listing<TenantId>, Error> {
        if filter.text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT_CHARACTERS) {
            let detail = format!("at most {MAX_TEXT_CHARACTERS} characters are searched for");
            return Err(Error::InvalidQuery { parameter: "q", detail });
        }
        let binding = filter.binding();
        let after = request.cursor().map(|cursor| opened(cursor, &binding)).transpose()?;
        let question = filter.question(after);
        let store = &*self.store;
        let (found, at) = self.tenants.find(store, &question, request.limit()).await?;
        let items = found.tenants.into_iter();
        let items = items.map(|(value, revision)| Versioned { value, revision }).collect();
        let next_cursor = found.next.map(|next| closed(&next, &binding));
        Ok(Listing { items, at, next_cursor })
    }

    /// A tenant as it was at a revision.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what reading can end in.
    pub async fn tenant_at(
        &self,
        id: TenantId,
        at: Revision,
    ) -> Result<Versioned<TenantRecord>, Error> {
        let record = self.find(&layout::record(ResourceKind::Tenant, id), Some(at)).await?;
        record.ok_or_else(|| Error::not_found("tenant", id))
    }

    /// Brings the directory of tenants up to now, so that less is left to do for the next list.
    ///
    /// # Errors
    /// What reading can end in.
    pub async fn refresh_directory(&self) -> Result<(), Error> {
        self.tenants.catch_up(&*self.store).await
    }
}

fn closed(position: &Position, binding: &str) -> String {
    let json = serde_json::to_vec(position).unwrap_or_default();
    bound("tenants", binding, &URL_SAFE_NO_PAD.encode(json))
}

fn opened(cursor: &str, binding: &str) -> Result<Position, Error> {
    let text = unbound("tenants", binding, cursor)?;
    let json = URL_SAFE_NO_PAD.decode(text).ok();
    let position = json.and_then(|json| serde_json::from_slice(&json).ok());
    position.ok_or(Error::InvalidCursor("the cursor is damaged; start again without it"))
}
