package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/looming-project/looming/cmd/internal/exit"
	"github.com/looming-project/looming/cmd/internal/settings"
	"github.com/looming-project/looming/server"
)

func rebuildCommand(common *settings.Common) *cobra.Command {
	o := server.ServeOptions{}
	log := logging{}
	cmd := &cobra.Command{
		Use:   "rebuild-index",
		Short: "Make the index of chunks again from the packs, after a loss in the database",
		Long: `Make the index of chunks again from the packs on the volumes.

It is for after a loss in the database. Stop all servers first. Nothing is
removed, and to run it without need changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := log.logger()
			if err != nil {
				return err
			}
			slog.SetDefault(logger)
			o.Log = logger
			r, err := server.Rebuild(cmd.Context(), o)
			if err != nil {
				return err
			}
			return sayRebuilt(cmd, common.Output, r)
		},
	}
	bindPlaces(cmd, &o)
	log.bind(cmd)
	return cmd
}

func sayRebuilt(cmd *cobra.Command, form settings.Output, r *server.Rebuilt) error {
	out := cmd.OutOrStdout()
	if form == settings.JSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "read %d packs; entered %d chunks that the index lacked; remade the sets of %d snapshots\n", r.Packs, r.Chunks, r.Snapshots)
		for _, b := range r.Broken {
			fmt.Fprintf(out, "only a part could be read of pack %s\n", b)
		}
		for _, s := range r.Incomplete {
			fmt.Fprintf(out, "snapshot %s lacks chunks that no pack has\n", s)
		}
	}
	if len(r.Broken)+len(r.Incomplete) > 0 {
		return exit.Reported(fmt.Errorf("%w: %d broken packs, %d incomplete snapshots", exit.ErrPart, len(r.Broken), len(r.Incomplete)))
	}
	return nil
}
