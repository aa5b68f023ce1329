// SPDX-License-Identifier: GPL-2.0
/*
 * Prints, in instructions, what it costs to take the memory of a process that is
 * stuck, that of one that exits, and a process's whole life. Runs in the VM that
 * counts instructions, see scripts/bench-reaper; there the TSC counts them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "test_oom_reaper_uapi.h"

#define MB	0x100000UL
#define SIZE	(1024 * MB)
#define LIVES	300

static int dev;
static uint32_t gate;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void touch(size_t size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, size, MADV_NOHUGEPAGE);
	for (i = 0; i < size; i += 4096)
		mem[i] = 1;
}

/* A process with SIZE bytes of memory, at the gate or in pause(). */
static pid_t start(int stuck)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		struct test_oom_reaper_enter enter = {
			.gate = gate,
			.state = TEST_OOM_REAPER_SLEEP,
		};
		int own = open("/dev/test_oom_reaper", O_RDWR);

		touch(SIZE);
		write(ready[1], "", 1);
		if (stuck && ioctl(own, TEST_OOM_REAPER_ENTER, &enter))
			die("TEST_OOM_REAPER_ENTER");
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) != 1)
		die("the process is not ready");
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static uint64_t reap(void)
{
	pid_t pid = start(1);
	uint32_t inside = 1;
	uint64_t cycles;
	int pidfd;

	if (ioctl(dev, TEST_OOM_REAPER_WAIT, &inside))
		die("TEST_OOM_REAPER_WAIT");
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	kill(pid, SIGKILL);
	cycles = __rdtsc();
	if (syscall(SYS_process_mrelease, pidfd, 0))
		die("process_mrelease");
	cycles = __rdtsc() - cycles;
	close(pidfd);
	ioctl(dev, TEST_OOM_REAPER_RELEASE);
	waitpid(pid, NULL, 0);
	return cycles;
}

static uint64_t exit_with_memory(void)
{
	pid_t pid = start(0);
	uint64_t cycles = __rdtsc();

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return __rdtsc() - cycles;
}

static uint64_t live(void)
{
	uint64_t cycles = __rdtsc();
	int i;

	for (i = 0; i < LIVES; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			touch(MB);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	return (__rdtsc() - cycles) / LIVES;
}

int main(void)
{
	dev = open("/dev/test_oom_reaper", O_RDWR);
	if (dev < 0 || ioctl(dev, TEST_OOM_REAPER_GATE, &gate))
		die("/dev/test_oom_reaper");
	printf("life %llu\n", (unsigned long long)live());
	printf("exit %llu\n", (unsigned long long)exit_with_memory());
	printf("reap %llu\n", (unsigned long long)reap());
	return 0;
}
