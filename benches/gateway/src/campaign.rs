//! A run: who is started when, who has which turn.

mod changes;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    account::{self, Busy},
    answers,
    credentials::Credentials,
    exchange::Connection,
    load::{self, Load},
    origin,
    peers::{ControlPlane, Peer, Place, Programs},
    policy::Policy,
    process::Running,
    results::{self, Machine, Results, Rounds},
    statistics::Latency,
    variant::{Proof, Variant},
};

/// How long a proxy may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Load before a turn counts, as a part of the turn.
const WARM_UP: f64 = 0.2;
/// How often a turn is tried: a machine that does something else may answer nothing for seconds.
const TRIES: u32 = 3;
/// The share of what a proxy can do up to which it is measured how long its answers take.
const BUSIEST: f64 = 0.6;

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) tenants: u32,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: u32,
    pub(crate) peers: Vec<Peer>,
    pub(crate) variants: Vec<Variant>,
    pub(crate) cores: Vec<usize>,
    pub(crate) load_core: usize,
    pub(crate) directory: PathBuf,
}

/// All that a run needs.
pub(crate) struct Campaign {
    options: Options,
    policy: Policy,
    credentials: Credentials,
    programs: Programs,
}

/// A proxy that runs.
struct Contender<'a> {
    peer: Peer,
    place: Place<'a>,
    running: Running,
    rounds: Rounds,
}

impl Contender<'_> {
    fn plain(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.place.plain))
    }
}

impl Campaign {
    pub(crate) fn new(options: Options, programs: Programs) -> anyhow::Result<Self> {
        let policy = Policy::new(options.tenants);
        Ok(Self { policy, credentials: Credentials::new()?, programs, options })
    }

    /// Everything, from the first start to the last answer.
    pub(crate) async fn run(self) -> anyhow::Result<Results> {
        let options = &self.options;
        if options.directory.exists() {
            fs::remove_dir_all(&options.directory)?;
        }
        fs::create_dir_all(&options.directory)?;
        let origin = origin::start().await?;
        let control_plane = self.control_plane(origin).await?;
        let ours = || control_plane.as_ref().map(ControlPlane::family).unwrap_or_default();
        let (began, before) = (Instant::now(), Busy::now(&ours()));
        let mut left_out = BTreeMap::new();
        let mut all: BTreeMap<Peer, Rounds> = BTreeMap::new();
        for proof in [Proof::Key, Proof::Token] {
            let (contenders, different) =
                self.contenders(proof, origin, control_plane.as_ref()).await?;
            left_out.extend(different);
            for contender in self.measure(proof, contenders).await? {
                let rounds = contender.rounds;
                match all.get_mut(&contender.peer) {
                    // The second time it is only for the loads with tokens.
                    Some(known) => known.loads.extend(rounds.loads),
                    None => drop(all.insert(contender.peer, rounds)),
                }
            }
        }
        let cores_of_others = Busy::now(&ours()).others_since(before, began.elapsed());
        Ok(self.results(&all, left_out, cores_of_others))
    }

    fn results(
        &self,
        all: &BTreeMap<Peer, Rounds>,
        left_out: BTreeMap<Peer, String>,
        cores_of_others: f64,
    ) -> Results {
        Results {
            machine: Machine::this(),
            tenants: self.policy.loaded().len(),
            workers: self.options.cores.len(),
            rounds: self.options.rounds,
            seconds: self.options.seconds,
            rate: self.options.rate,
            cores_of_others,
            peers: all.keys().map(|peer| (*peer, results::measured(*peer, all))).collect(),
            left_out,
        }
    }

    async fn control_plane(&self, origin: SocketAddr) -> anyhow::Result<Option<ControlPlane>> {
        if !self.options.peers.contains(&Peer::Tenantry) {
            return Ok(None);
        }
        println!("the control plane takes {} tenants", self.policy.tenants.len());
        let directory = self.options.directory.join("control-plane");
        let (policy, credentials) = (&self.policy, &self.credentials);
        let core = self.options.load_core;
        ControlPlane::start(policy, credentials, &self.programs, origin, &directory, &[core])
            .await
            .map(Some)
    }

    /// Those that have a turn with this kind of proof: started, and found to answer as the policy says.
    async fn contenders<'a>(
        &'a self,
        proof: Proof,
        origin: SocketAddr,
        control_plane: Option<&'a ControlPlane>,
    ) -> anyhow::Result<(Vec<Contender<'a>>, Vec<(Peer, String)>)> {
        let variants = self.options.variants.iter().filter(|variant| variant.proof() == proof);
        let variants: Vec<_> = variants.copied().collect();
        let (mut running, mut different) = (Vec::new(), Vec::new());
        for peer in self.options.peers.iter().copied() {
            if !variants.iter().any(|variant| peer.can(*variant)) {
                continue;
            }
            let place = self.place(peer, proof, origin, control_plane)?;
            match self.admit(peer, place).await {
                Ok(contender) => {
                    println!("{} {}: answers as it should", peer.title(), contender.rounds.version);
                    running.push(contender);
                }
                Err(found) => {
                    println!("{}: {found:#}", peer.title());
                    different.push((peer, format!("{found:#}")));
                }
            }
        }
        Ok((running, different))
    }

    /// Starts one. It is an error if that cannot be, or if it answers otherwise than the policy says.
    async fn admit<'a>(&self, peer: Peer, place: Place<'a>) -> anyhow::Result<Contender<'a>> {
        let contender = self.start(peer, place).await?;
        let found = answers::differences(peer, &contender.place).await?;
        anyhow::ensure!(found.is_empty(), "{}", found.join("; "));
        Ok(contender)
    }

    fn place<'a>(
        &'a self,
        peer: Peer,
        proof: Proof,
        origin: SocketAddr,
        control_plane: Option<&'a ControlPlane>,
    ) -> anyhow::Result<Place<'a>> {
        let [plain, tls, admin] = free_ports()?;
        Ok(Place {
            policy: &self.policy,
            credentials: &self.credentials,
            programs: &self.programs,
            cores: self.options.cores.clone(),
            directory: self.options.directory.join(format!("{peer:?}-{proof:?}").to_lowercase()),
            plain,
            tls,
            admin,
            origin,
            proof,
            control_plane,
        })
    }

    /// Starts one as often as there are rounds, to see how long that takes; the last time it stays.
    async fn start<'a>(&self, peer: Peer, place: Place<'a>) -> anyhow::Result<Contender<'a>> {
        peer.prepare(&place)?;
        let version = peer.version(&self.programs)?;
        let mut rounds = Rounds { version, ..Rounds::default() };
        loop {
            let began = Instant::now();
            let mut running = peer.start(&place)?;
            self.answers(&place, &mut running).await?;
            rounds.starts.push(began.elapsed().as_secs_f64() * 1e3);
            if rounds.starts.len() >= self.options.rounds {
                return Ok(Contender { peer, place, running, rounds });
            }
        }
    }

    /// Waits for the first right answer.
    async fn answers(&self, place: &Place<'_>, running: &mut Running) -> anyhow::Result<()> {
        let request = changes::request(place, self.policy.loaded().first())?;
        let began = Instant::now();
        loop {
            if let Ok(mut connection) = Connection::open(([127, 0, 0, 1], place.plain).into()).await
            {
                let head = connection.exchange(request.as_bytes()).await;
                if head.is_ok_and(|head| head.status == 200) {
                    return Ok(());
                }
            }
            running.must_run()?;
            anyhow::ensure!(began.elapsed() < PATIENCE, "a proxy does not answer as it should");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn measure<'a>(
        &self,
        proof: Proof,
        mut contenders: Vec<Contender<'a>>,
    ) -> anyhow::Result<Vec<Contender<'a>>> {
        let variants = self.options.variants.iter().filter(|variant| variant.proof() == proof);
        for variant in variants.copied() {
            for round in 1..=self.options.rounds {
                for contender in &mut contenders {
                    if contender.peer.can(variant) {
                        self.turn(variant, contender).await?;
                    }
                }
                println!("{}: round {round} of {}", variant.title(), self.options.rounds);
            }
        }
        if proof == Proof::Key {
            for _ in 0..self.options.rounds {
                for contender in &mut contenders {
                    changes::measure(contender).await?;
                }
            }
        }
        Ok(contenders)
    }

    /// One proxy is loaded once. A machine that has no time for it gives it another turn.
    async fn turn(&self, variant: Variant, contender: &mut Contender<'_>) -> anyhow::Result<()> {
        let mut failures = 0;
        loop {
            contender.running.must_run()?;
            let Err(error) = self.try_turn(variant, contender).await else { return Ok(()) };
            println!("  {:<18} {error:#}", contender.peer.title());
            failures += 1;
            if failures == TRIES {
                let (peer, load) = (contender.peer.title(), variant.title());
                return Err(error.context(format!("{peer}, {load}: it failed {TRIES} times")));
            }
        }
    }

    async fn try_turn(
        &self,
        variant: Variant,
        contender: &mut Contender<'_>,
    ) -> anyhow::Result<()> {
        let load = self.load(variant, contender)?;
        let duration = Duration::from_secs_f64(self.options.seconds);
        let warm_up = duration.mul_f64(WARM_UP);
        let family = contender.running.family();
        let used = || account::processor_time(&family);
        let served = load::saturate(&load, warm_up, duration, used).await?;
        let (cost, per_second) = (served.cost(), served.per_second());
        // What is close to its limit has queues, whose length says more of the rate than of the proxy.
        if variant == Variant::Plain && per_second * BUSIEST > f64::from(self.options.rate) {
            let mut times = load::at_rate(&load, self.options.rate, warm_up, duration).await?;
            contender.rounds.latencies.extend(Latency::of(&mut times));
        }
        if variant == Variant::Plain {
            contender.rounds.memory = account::memory(&contender.running.family());
        }
        println!("  {:<18} {cost:8.2} us {per_second:10.0}/s", contender.peer.title());
        let one = results::Load { cost, per_second };
        contender.rounds.loads.entry(variant).or_default().push(one);
        Ok(())
    }

    fn load(&self, variant: Variant, contender: &Contender<'_>) -> anyhow::Result<Load> {
        let alpn: &[&str] = if variant == Variant::Http2 { &["h2"] } else { &["http/1.1"] };
        let secure = variant.is_secure();
        let tls = secure.then(|| self.credentials.client(alpn)).transpose()?;
        let port = if secure { contender.place.tls } else { contender.place.plain };
        Ok(Load {
            to: SocketAddr::from(([127, 0, 0, 1], port)),
            calls: variant.calls(&self.policy, &self.credentials)?,
            tls,
            is_fresh: variant.is_fresh(),
            is_http2: variant == Variant::Http2,
        })
    }
}

/// Three ports that nobody has. They are free again before whoever is told of them takes them.
fn free_ports() -> anyhow::Result<[u16; 3]> {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let [first, second, third] = listeners;
    let port = |listener: std::io::Result<TcpListener>| listener?.local_addr().map(|at| at.port());
    let (first, second, third) = (first?, second?, third?);
    Ok([port(Ok(first))?, port(Ok(second))?, port(Ok(third))?])
}
