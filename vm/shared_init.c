// SPDX-License-Identifier: GPL-2.0
/*
 * Does the OOM killer leave the memory of a victim alone that shares it with the
 * system's init? The init is this program, in a VM of its own: rdinit=/root/shared_init.
 * Says so as TAP to the second serial port, and its exit status to the third.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SIZE	(64UL << 20)
#define CGROUPS	"/sys/fs/cgroup"
#define CGROUP	CGROUPS "/victim"

static volatile int ready;
static FILE *tap;
static int nr, failed;

static void result(int ok, const char *what)
{
	fprintf(tap, "%sok %d %s\n", ok ? "" : "not ", ++nr, what);
	failed |= !ok;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret < 0 ? -1 : 0;
}

/* The number behind a key at the start of a line, -1 if there is none. */
static long read_key(const char *path, const char *key)
{
	char line[256], name[64];
	FILE *file = fopen(path, "r");
	long value, found = -1;

	while (file && found < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %ld", name, &value) == 2 && !strcmp(name, key))
			found = value;
	if (file)
		fclose(file);
	return found;
}

static int said(const char *text)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	char record[2048];
	int found = 0;
	ssize_t len;

	while (!found && (len = read(fd, record, sizeof(record) - 1)) > 0) {
		record[len] = 0;
		found = !!strstr(record, text);
	}
	close(fd);
	return found;
}

/* Memory of the cgroup that is not the victim's: what init shares is charged to init. */
static void fill_file(int file)
{
	static char page[4096];
	size_t i;

	write_file(CGROUP "/cgroup.procs", "0");
	for (i = 0; i < SIZE; i += sizeof(page))
		if (write(file, page, sizeof(page)) != sizeof(page))
			_exit(1);
	_exit(0);
}

static int victim(void *mem)
{
	write_file(CGROUP "/cgroup.procs", "0");
	memset(mem, 1, SIZE);
	ready = 1;
	for (;;)
		pause();
	return 0;
}

static void test(void)
{
	static char stack[65536];
	char *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = memfd_create("file", 0), status = -1;
	size_t i;
	pid_t pid;

	mkdir(CGROUP, 0755);
	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	write_file("/proc/sys/vm/oom_reaper_delay_ms", "0");
	pid = fork();
	if (!pid)
		fill_file(file);
	waitpid(pid, &status, 0);
	result(!status && read_key(CGROUP "/memory.stat", "shmem") > (long)SIZE / 2,
	       "the cgroup has memory");

	pid = clone(victim, stack + sizeof(stack), CLONE_VM | SIGCHLD, mem);
	while (pid > 0 && !ready)
		usleep(1000);
	write_file(CGROUP "/memory.max", "8M");
	/* To its cgroup that does not count: the memory is that of init's. */
	result(read_key("/proc/vmstat", "oom_kill") == 1, "a victim was chosen");
	result(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL, "it was killed");
	result(said("has mm pinned by 1 (shared_init)"), "the kernel names init");
	/* Longer than the reaper would wait for what it is given. */
	sleep(3);
	result(read_key("/proc/vmstat", "oom_reap_victim") == 0 &&
	       read_key("/proc/vmstat", "oom_reap_gave_up") == 0, "the reaper was not asked");
	for (i = 0; i < SIZE && mem[i] == 1; i++)
		;
	result(i == SIZE, "the memory is there, and is what it was");
}

int main(void)
{
	struct termios termios;
	FILE *status;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("cgroup2", CGROUPS, "cgroup2", 0, NULL);
	tap = fopen("/dev/ttyS1", "w");
	status = fopen("/dev/ttyS2", "w");
	if (!tap || !status)
		return 1;
	/* Output goes out as it was written. */
	tcgetattr(fileno(tap), &termios);
	cfmakeraw(&termios);
	tcsetattr(fileno(tap), TCSANOW, &termios);
	fprintf(tap, "TAP version 13\n");
	test();
	fprintf(tap, "1..%d\n", nr);
	fclose(tap);
	fprintf(status, "exit status %d\n", failed);
	fclose(status);
	sync();
	reboot(RB_AUTOBOOT);
	return 1;
}
