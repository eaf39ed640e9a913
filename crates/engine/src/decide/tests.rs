mod keys;
mod matrix;
mod platform;
mod policies;
mod recorded;
mod routing;
mod rules;
mod tables;
