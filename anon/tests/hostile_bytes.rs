//! x
use anon::request::{Request, Response};

#[test]
fn nested() {
    let mut frame = [8_u8, 0, 0].repeat(300_000);
    frame.push(7);
    assert!(Request::decode(&frame).is_err());
}
#[test]
fn nested_response() {
    let mut level = vec![7_u8, 0, 1];
    level.extend([0;32]);
    level.push(1);
    let mut frame = level.repeat(25_000);
    frame.push(9);
    assert!(Response::decode(&frame).is_err());
}
