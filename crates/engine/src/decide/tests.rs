mod matrix;
mod platform;
mod rules;
mod tables;
