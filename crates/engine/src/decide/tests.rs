mod keys;
mod matrix;
mod platform;
mod policies;
mod routing;
mod rules;
mod tables;
