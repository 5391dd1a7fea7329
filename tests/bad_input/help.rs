//! Every command explains itself with examples that can be typed as they stand.

use clap::Command;

#[test]
fn every_help_ends_with_examples_of_its_own_command() {
    let mut leaves = Vec::new();
    collect(cutout::cli::command(), &mut Vec::new(), &mut leaves);
    // What the other program does is told by the other program.
    leaves.retain(|(name, _)| name != "cutout demo" && name != "cutout audit");
    collect(audit::command::command(), &mut Vec::new(), &mut leaves);
    assert!(leaves.len() >= 18, "{leaves:?}");
    for (name, help) in leaves {
        let examples = help.rsplit_once("Example").map(|(_, examples)| examples);
        let examples =
            examples.unwrap_or_else(|| panic!("`{name} --help` has no examples:\n{help}"));
        assert!(examples.contains(&name), "`{name} --help` shows another command:\n{help}");
        let options = help.find("Options:").unwrap_or(0);
        assert!(help.rfind("Example") > Some(options), "`{name} --help` ends otherwise:\n{help}");
    }
}

fn collect(mut command: Command, above: &mut Vec<String>, found: &mut Vec<(String, String)>) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    above.push(command.get_name().to_owned());
    let below: Vec<Command> = command.get_subcommands().cloned().collect();
    if below.is_empty() || above.len() == 1 {
        found.push((above.join(" "), command.render_long_help().to_string()));
    }
    for command in below {
        collect(command, above, found);
    }
    above.pop();
}
