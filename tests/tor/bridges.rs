//! Where Tor's own relays cannot be reached: by a bridge, which stands in no directory.

use std::collections::BTreeSet;

use super::ground::ground;
use crate::support::{Network, message};

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_by_a_bridge_and_by_nothing_else() {
    let network = Network::aged(16, |options| options.k = 3).await;
    let ground = ground().await;
    let (bridge, line) = ground.tor.bridge().unwrap();
    let section = format!("\n[tor.bridges]\nenabled = true\nbridges = '''\n{line}\n'''\n");
    let config = ground.tor.toml("required") + &section;
    let watch = ground.watch();
    let alice = network.user_at("alice", ground.inside(), &config).await;
    let mail = message("by a bridge", 1);
    let report = alice.send(["--to", &alice.address, "-"], &mail).await;
    assert_eq!(report["delivered"], serde_json::json!([alice.address]));
    assert_eq!(watch.end(), BTreeSet::from([*bridge.ip()]));
    assert_eq!(alice.fetch().await["delivered"].as_array().unwrap().len(), 1);
    assert_eq!(alice.mails(), [mail]);
}
