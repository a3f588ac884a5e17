//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// inGroup makes cmd the head of a process group, which ends with it.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

func unmount(dir string) {
	_ = exec.Command("umount", "-l", dir).Run()
}
