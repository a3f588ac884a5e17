package main

import "github.com/spf13/cobra"

// more are the commands that show desktops.
func more(a *app) []*cobra.Command {
	return []*cobra.Command{streamCommand(a), mountCommand(a), statusCommand(a), pivotCommand(a), forgetCommand(a), agentCommand(a)}
}
