package session

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/looming-project/looming/server/internal/sis"
	"github.com/looming-project/looming/vfs/wire"
)

// VolumeState is a volume as an admin sees it. Problem is empty if it is well.
type VolumeState struct {
	URL     string `json:"url"`
	Free    int64  `json:"free"`
	Total   int64  `json:"total"`
	Packs   int64  `json:"packs"`
	Bytes   int64  `json:"bytes"`
	Problem string `json:"problem,omitempty"`
	Full    bool   `json:"full,omitempty"`    // no whole pack fits any more: the problem says so, and reading goes on
	Drained bool   `json:"drained,omitempty"` // takes no new packs
	ID      int32  `json:"-"`
	UUID    string `json:"id"`
}

// Volumes says how the volumes are.
func (s *Service) Volumes(ctx context.Context) ([]VolumeState, error) {
	if err := s.volumes.load(ctx, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	uses, err := s.db.VolumeUses(ctx)
	if err != nil {
		return nil, err
	}
	var all []VolumeState
	for _, k := range s.volumes.list() {
		st := VolumeState{ID: k.ID, URL: k.URL, UUID: k.UUID.String(), Packs: uses[k.ID].Packs, Bytes: uses[k.ID].Bytes, Drained: k.Drained}
		err := k.err
		if k.vol != nil {
			st.Free, st.Total, err = k.space()
		}
		switch {
		case err != nil:
			st.Problem = err.Error()
		case st.Free < wire.PackMax && !st.Drained:
			st.Full, st.Problem = true, fmt.Sprintf("full: less than %d MiB are free: make room or add a volume", wire.PackMax>>20)
		}
		all = append(all, st)
	}
	return all, nil
}

// CheckVolume says what is wrong with the address of a volume.
func CheckVolume(url string) error {
	_, err := sis.DirPath(url)
	return err
}

// AddVolume adds a place for packs: a directory that is there, and is empty or a volume already. One that was drained
// takes packs again.
func (s *Service) AddVolume(ctx context.Context, url string) error {
	if err := sis.CheckDir(url); err != nil {
		return err
	}
	id, err := s.volumes.add(ctx, url)
	if err != nil {
		return err
	}
	return s.changeVolume(ctx, s.db.DrainVolume(ctx, id, false))
}

// DrainVolume keeps new packs away from a volume. What lies there is read as before.
func (s *Service) DrainVolume(ctx context.Context, uuid string) (url string, err error) {
	k, err := s.volume(ctx, uuid)
	if err != nil {
		return "", err
	}
	return k.URL, s.changeVolume(ctx, s.db.DrainVolume(ctx, k.ID, true))
}

// RemoveVolume forgets a volume that holds no packs. Its directory stays as it is.
func (s *Service) RemoveVolume(ctx context.Context, uuid string) (url string, err error) {
	k, err := s.volume(ctx, uuid)
	if err != nil {
		return "", err
	}
	if err := s.changeVolume(ctx, s.db.DeleteVolume(ctx, k.ID)); err != nil {
		return "", fmt.Errorf("volume %s: %w", k.URL, err)
	}
	return k.URL, nil
}

// volume finds one by its id outside.
func (s *Service) volume(ctx context.Context, uuid string) (volume, error) {
	if err := s.volumes.reload(ctx); err != nil {
		return volume{}, err
	}
	for _, k := range s.volumes.list() {
		if k.UUID.String() == uuid {
			return k, nil
		}
	}
	return volume{}, fmt.Errorf("volume %q: %w", uuid, wire.ErrNotFound)
}

// changeVolume has this server know at once what was changed; others hear of it when they begin a pack there.
func (s *Service) changeVolume(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return s.volumes.reload(ctx)
}
