//! The configurations of a [`TorNetwork`]: of its daemons, and of arti where it is to use them.

use super::{BRIDGE, Relay, TorNetwork};

/// What a daemon is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Authority,
    Relay,
    /// A relay that stands in no directory.
    Bridge,
}

impl Role {
    /// What the daemon of this number is.
    pub(super) const fn of(index: usize) -> Self {
        match index {
            0 => Self::Authority,
            BRIDGE => Self::Bridge,
            _ => Self::Relay,
        }
    }
}

/// Of all daemons. `Schedulers Vanilla`: the other one waits some milliseconds with each cell.
const ALL: &str = "\
TestingTorNetwork 1
PathsNeededToBuildCircuits 0.67
TestingDirAuthVoteExit *
TestingDirAuthVoteHSDir *
TestingDirAuthVoteGuard *
TestingMinExitFlagThreshold 0
V3AuthNIntervalsValid 2
SocksPort 0
ControlPort 0
AssumeReachable 1
RefuseUnknownExits 0
Schedulers Vanilla
NumCPUs 1
ShutdownWaitLength 0
ServerDNSDetectHijacking 0
SafeLogging 0
";

/// Of the authority: votes soon, and counts everybody as stable and fast.
const AUTHORITY: &str = "\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
V3AuthVotingInterval 300
V3AuthVoteDelay 2
V3AuthDistDelay 2
TestingV3AuthInitialVotingInterval 300
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
AuthDirVoteStableGuaranteeMinUptime 0
AuthDirVoteStableGuaranteeMTBF 0
AuthDirFastGuarantee 1 KB
ExitPolicy reject *:*
";

/// Of relays: streams leave to loopback. With a loopback source for them, all else in the policy leads nowhere.
const RELAY: &str = "\
ExitRelay 1
ExitPolicyRejectPrivate 0
ExitPolicy accept 127.0.0.0/8:*
ExitPolicy accept private:*
ExitPolicy accept *:*
";

/// Of the bridge.
const BRIDGE_RELAY: &str = "\
BridgeRelay 1
PublishServerDescriptor 0
ExitPolicy reject *:*
";

/// A daemon's configuration, but for the line that names the authority.
pub(super) fn torrc(role: Role, index: usize, relay: &Relay, offset: u64) -> String {
    let (directory, ip) = (relay.directory.display(), relay.or.ip());
    let mut text = format!(
        "Nickname tor{index}\nDataDirectory {directory}\nLog notice file {directory}/log\nAddress {ip}\n\
         ORPort {} IPv4Only\nOutboundBindAddress {ip}\nTestingV3AuthVotingStartOffset {offset}\n\
         __OwningControllerProcess {}\nContactInfo nobody\n",
        relay.or,
        std::process::id(),
    );
    text += ALL;
    if let Some(dir) = relay.dir {
        text += &format!("DirPort {dir} IPv4Only\n");
    }
    text += match role {
        Role::Authority => AUTHORITY,
        Role::Relay => RELAY,
        Role::Bridge => BRIDGE_RELAY,
    };
    text
}

/// What arti has to know of the network, as a `[tor]` section.
pub(super) fn arti_toml(network: &TorNetwork, mode: &str) -> String {
    let caches: Vec<String> = network
        .public()
        .map(|relay| {
            format!(
                "  {{ rsa_identity = \"{}\", ed_identity = \"{}\", orports = [\"{}\"] }},\n",
                relay.rsa, relay.ed, relay.or
            )
        })
        .collect();
    let dir = network.relays.first().and_then(|authority| authority.dir);
    let dir = dir.map(|dir| dir.to_string()).unwrap_or_default();
    format!(
        "[tor]\nmode = \"{mode}\"\npatience_seconds = 15\n\n\
         [tor.tor_network]\nfallback_caches = [\n{}]\n\n\
         [tor.tor_network.authorities]\nv3idents = [\"{}\"]\nuploads = [[\"{dir}\"]]\ndownloads = [[\"{dir}\"]]\n\
         votes = [[\"{dir}\"]]\n\n\
         [tor.address_filter]\nallow_local_addrs = true\n\n\
         [tor.storage.permissions]\ndangerously_trust_everyone = true\n\n\
         [tor.override_net_params]\ncbtinitialtimeout = 3000\ncbtmintimeout = 500\n\n\
         [tor.circuit_timing]\nhs_dir_requery_interval = \"1 second\"\n",
        caches.concat(),
        network.v3ident,
    )
}
