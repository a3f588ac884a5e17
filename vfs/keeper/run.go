//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options of Run. The zero value works.
type Options struct {
	// Log is told of each death; default: nobody.
	Log func(format string, args ...any)
	// Deaths within deathsTime are too many: the process would go on so. Default 8.
	Deaths int
}

const deathsTime = 10 * time.Second

// startPause is how long after a start that failed the next one is tried.
const startPause = 500 * time.Millisecond

// Run starts the process that command makes, and once more whenever it dies, until
// it ends by itself, and returns its exit code. A process dies by a signal, or by
// ending while something of it is kept, or by not starting then. It dies with the keeper.
//
// Interrupt and SIGTERM are passed on, and then the process is let die. SIGHUP has
// it replaced at once, by what its program is now.
func Run(command func() (*exec.Cmd, error), o Options) (code int, err error) {
	runtime.LockOSThread() // the process dies with the thread that started it
	defer runtime.UnlockOSThread()
	s, err := openStore()
	if err != nil {
		return 0, err
	}
	defer s.close()
	go s.listen() // ends with close
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	k := &keeping{s: s, signals: signals, max: o.Deaths}
	if k.max == 0 {
		k.max = 8
	}
	for {
		end, err := k.once(command)
		if err != nil && end.kept { // the program may just be replaced
			k.pause()
		}
		if !end.kept && (err != nil || end.by == 0) || k.ending {
			return end.exit(), err
		}
		if k.replaced {
			k.replaced = false
			continue
		}
		if !k.again(time.Now()) {
			return end.exit(), errors.Join(errors.New("it died too often, and is not started again"), err)
		}
		if o.Log != nil {
			o.Log("%s, and is started again", end.say(err))
		}
	}
}

type keeping struct {
	s       *store
	signals chan os.Signal
	// ending says that the process was told to end, replaced that it was killed for a new one.
	ending, replaced bool
	deaths           []time.Time
	max              int
}

// ended is how a process ended: by a signal or with a code, with something kept or nothing.
type ended struct {
	by   syscall.Signal
	code int
	kept bool
}

func (e ended) say(failed error) string {
	switch {
	case failed != nil:
		return failed.Error()
	case e.by != 0:
		return fmt.Sprintf("the process was killed (%v)", e.by)
	}
	return fmt.Sprintf("the process ended with %d", e.code)
}

func (e ended) exit() int {
	if e.by != 0 {
		return 128 + int(e.by)
	}
	return e.code
}

// again says whether a process that just died may be started again.
func (k *keeping) again(now time.Time) bool {
	k.deaths = append(k.deaths, now)
	if len(k.deaths) > k.max {
		k.deaths = k.deaths[1:]
	}
	return len(k.deaths) < k.max || now.Sub(k.deaths[0]) > deathsTime
}

// once is one life of the process.
func (k *keeping) once(command func() (*exec.Cmd, error)) (ended, error) {
	cmd, err := command()
	kept := false
	k.s.all(func(names []string, files []*os.File) {
		if kept = len(names) > 0; err == nil {
			err = k.start(cmd, names, files)
		}
	})
	if err != nil {
		return ended{kept: kept}, err
	}
	err = k.wait(cmd)
	end := ended{}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			end.by = status.Signal()
		}
		end.code = exit.ExitCode()
	}
	k.s.all(func(names []string, _ []*os.File) { end.kept = len(names) > 0 })
	return end, err
}

// start starts the process with what is kept.
func (k *keeping) start(cmd *exec.Cmd, names []string, files []*os.File) error {
	cmd.Env = append(cmd.Environ(), envSocket+"="+k.s.conn.LocalAddr().String(), envStore+"=100000",
		envFds+"="+strconv.Itoa(len(files)), envNames+"="+strings.Join(names, ":"))
	cmd.ExtraFiles = files
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C is for the keeper, which passes it on
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return nil
}

// pause waits before the next start, or until the process is to end.
func (k *keeping) pause() {
	select {
	case <-time.After(startPause):
	case s := <-k.signals:
		k.ending = s != syscall.SIGHUP
	}
}

// wait passes signals on until the process ends.
func (k *keeping) wait(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // ends with the process
	for {
		select {
		case err := <-done:
			return err
		case s := <-k.signals:
			if s == syscall.SIGHUP {
				k.replaced, s = true, os.Kill
			} else {
				k.ending = true
			}
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}
}
