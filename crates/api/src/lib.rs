//! The HTTP API of the control plane as types: what is sent, what comes back, and a client.
//!
//! The control plane, the command line and the tests share these, so none of them can drift from the
//! others. Requests refuse fields they do not know, because a misspelt field that is silently dropped
//! is a policy that is silently not applied. Responses take unknown fields, so that an older client
//! can talk to a newer control plane.
//!
//! Values that have rules (slugs, hosts, limits) are the model's own types and are checked while they
//! are parsed.

pub mod page;
pub mod problem;

pub mod document;
pub mod tenant;

pub mod api_key;
pub mod certificate;
pub mod domain;
pub mod effective;
pub mod issuer;
pub mod quota;
pub mod subscription;

pub mod invitation;
pub mod member;
pub mod node;
pub mod operator;
pub mod token;

pub mod audit;
pub mod desired;
pub mod enforcement;
pub mod explain;
pub mod import;
pub mod proxy;
pub mod replay;
pub mod revision;
pub mod rollout;

pub mod client;

pub use api_key::{ApiKeyBody, CreateApiKey, CreatedApiKey, RollApiKey};
pub use audit::{AuditEntryBody, AuditQuery, AuditVerification, VerifyAuditQuery};
pub use certificate::{CertificateBody, CertificateQuery, CreateCertificate, ReplaceCertificate};
pub use client::{Client, ClientError, Exchange, Witness};
pub use desired::{
    AppliedBody, ApplyQuery, ChangeAction, ChangeBody, DesiredState, DiffBody, DiffQuery,
    ExportFormat, ExportQuery,
};
pub use document::DocumentBody;
pub use domain::{AddDomain, DomainBody};
pub use effective::{EffectiveBody, EffectiveQuery, LimitSources, LimitsInForce, Sources};
pub use enforcement::{Enforcement, RefusingProxy};
pub use explain::{ExplainRequest, ExplainResponse, ExplainRule, ExplainStep, LimitLeft};
pub use import::{ConflictAction, ImportCounts, ImportEvent, ImportQuery};
pub use invitation::{AcceptInvitation, CreateInvitation, InvitationBody};
pub use issuer::{CreateIssuer, IssuerBody};
pub use member::{
    AddMember, ChangeMember, CreateRole, CreateUser, MemberBody, ReplaceRole, RoleBody, UserBody,
    UserQuery,
};
pub use node::{EnrollNode, EnrolledNode, NodeBody};
pub use operator::{CreateOperator, LogIn, OperatorBody, PrincipalBody, SessionBody, SetPassword};
pub use page::{ListQuery, PageBody};
pub use problem::{FieldError, Problem, ProblemKind};
pub use proxy::{
    AllowRemoval, ProxyBody, RefusedResource, RemovalAllowedBody, TenantAtProxy,
    TenantAtProxyState, TenantStatusBody,
};
pub use quota::{
    ConfirmQuota, QuotaBody, QuotaChange, ReleaseQuota, ReservationBody, ReserveQuota, SetQuota,
};
pub use replay::{RecordedRequest, ReplayOutcome, ReplayRequest, ReplayResponse, ReplayedRequest};
pub use revision::{
    FieldChangeBody, LeftBody, RecordChangeBody, RevisionBody, RevisionDetailBody,
    RevisionDiffQuery, RevisionEntryBody, RevisionQuery, RollbackQuery, RolledBackBody,
};
pub use rollout::{
    RolloutBody, RolloutChangeBody, RolloutChoice, RolloutDetailBody, RolloutProxyBody,
    RolloutReference, RolloutRelease, RolloutRequests, RolloutStateBody, RolloutWatchBody,
    StartRolloutQuery, TakeBackRollout,
};
pub use subscription::{CancelSubscription, PutSubscription, SubscriptionBody};
pub use tenant::{
    CreateTenant, CreatedTenant, DeleteTenantQuery, DeletionCertificateBody, FirstAdmin,
    PurgeTenant, SuspendTenant, TenantBody, TenantQuery, TenantStart,
};
pub use token::{CreateTenantToken, CreateToken, CreatedToken, TokenBody};
