//! The contract of `Store`, run against every implementation, and what is particular to one.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod embedded;
#[cfg(test)]
mod full;
