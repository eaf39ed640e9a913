mod keys;
mod matrix;
mod platform;
mod routing;
mod rules;
mod tables;
