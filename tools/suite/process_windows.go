package main

import "os/exec"

func inGroup(*exec.Cmd) {}

func unmount(string) {}
