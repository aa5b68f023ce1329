// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes until the memory of OOM victims is back, against one thing
 * that grows: their size, their VMAs, their number, their MMU notifiers. Prints
 * lines "scale: what n ms", with "never" if the kernel gave up. Runs in the VM
 * whose clock counts instructions, see scripts/compare: there, a millisecond is a
 * million instructions, and what nobody does anything in.
 *
 * The victims share a cgroup with memory.oom.group and a hard limit, which a
 * thread of the first one faults past. Another thread of each is stuck in an
 * uninterruptible sleep until after the measurement.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test_oom_reaper_uapi.h"

#define MB		0x100000UL
#define PAGE		4096UL
#define CGROUP		"/sys/fs/cgroup/scale"
#define MAX_VICTIMS	64
/* The stock kernel gives up after three seconds; with many victims, after each. */
#define PATIENCE_MS	20000

/* Around what is refused that much may stay: page tables are not split. */
#define KEPT		(2 * MB)

enum { LISTS, INTERVALS };

/* What the victims are like. */
struct kind {
	unsigned long	size;		/* bytes of each */
	unsigned long	vmas;
	unsigned int	victims;
	unsigned int	subs;
	int		sub_kind;	/* LISTS accept, INTERVALS refuse a page each */
};

static struct {
	unsigned int	ready;
	int		go;
} *shared;

static uint32_t gate;

static void die(const char *what)
{
	printf("scale: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(name);
	close(fd);
}

/* The first number, or the one behind @key. */
static long number(const char *name, const char *key)
{
	static char text[4096];
	int fd = open(name, O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text) - 1);
	char *p = text;

	if (len < 0)
		die(name);
	close(fd);
	text[len] = 0;
	if (key) {
		p = strstr(text, key);
		if (!p)
			die(key);
		p += strlen(key);
	}
	return strtol(p, NULL, 10);
}

static void fill(char *mem, unsigned long size)
{
	unsigned long i;

	for (i = 0; i < size; i += PAGE)
		mem[i] = 1;
}

static char *map(unsigned long size)
{
	char *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, size, MADV_NOHUGEPAGE);
	return mem;
}

/* Neighbours differ in what is allowed, so that they are not merged. */
static void split(char *mem, unsigned long size, unsigned long vmas)
{
	unsigned long each = size / PAGE / vmas * PAGE;
	unsigned long i;

	for (i = 1; i < vmas; i += 2)
		if (mprotect(mem + i * each, each, PROT_READ | PROT_WRITE | PROT_EXEC))
			die("mprotect");
}

static void subscribe(const struct kind *k, int dev, char *mem)
{
	unsigned int i;

	for (i = 0; i < k->subs; i++) {
		struct test_oom_reaper_sub sub = {
			.gate = gate,
			.kind = TEST_OOM_REAPER_LIST_BOTH,
			.behaviour = TEST_OOM_REAPER_ACCEPT,
		};

		if (k->sub_kind == INTERVALS) {
			sub.kind = TEST_OOM_REAPER_INTERVAL;
			sub.behaviour = TEST_OOM_REAPER_REFUSE;
			sub.start = (uintptr_t)mem + k->size / k->subs / PAGE * PAGE * i;
			sub.len = PAGE;
		}
		if (ioctl(dev, TEST_OOM_REAPER_SUBSCRIBE, &sub))
			die("TEST_OOM_REAPER_SUBSCRIBE");
	}
}

/* Faults past the limit when it is told to. */
static void *fault(void *arg)
{
	while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
		usleep(100);
	for (;;)
		fill(map(MB), MB);
	return NULL;
}

static void victim(const struct kind *k, int faults)
{
	struct test_oom_reaper_enter enter = {
		.gate = gate,
		.state = TEST_OOM_REAPER_SLEEP,
	};
	int dev = open("/dev/test_oom_reaper", O_RDWR);
	pthread_t thread;
	char *mem;

	write_file(CGROUP "/cgroup.procs", "0");
	mem = map(k->size);
	split(mem, k->size, k->vmas);
	fill(mem, k->size);
	subscribe(k, dev, mem);
	if (faults && pthread_create(&thread, NULL, fault, NULL))
		die("pthread_create");
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_ACQ_REL);
	ioctl(dev, TEST_OOM_REAPER_ENTER, &enter);
	for (;;)
		pause();
}

static void measure(const char *what, unsigned long n, const struct kind *k)
{
	long before, kept = k->sub_kind == INTERVALS ? k->subs * KEPT : 0;
	uint32_t inside = k->victims;
	pid_t pids[MAX_VICTIMS];
	unsigned int i;
	double since;
	char text[32];
	int dev, back;

	dev = open("/dev/test_oom_reaper", O_RDWR);
	if (dev < 0 || ioctl(dev, TEST_OOM_REAPER_GATE, &gate))
		die("/dev/test_oom_reaper");
	if (mkdir(CGROUP, 0755))
		die(CGROUP);
	write_file(CGROUP "/memory.oom.group", "1");
	shared->ready = shared->go = 0;
	for (i = 0; i < k->victims; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (!pids[i])
			victim(k, !i);
	}
	if (ioctl(dev, TEST_OOM_REAPER_WAIT, &inside))
		die("TEST_OOM_REAPER_WAIT");

	/* All of their memory counts; page tables, which the reaper never frees, do not. */
	before = number(CGROUP "/memory.current", NULL);
	snprintf(text, sizeof(text), "%ld", before + (long)MB / 2);
	write_file(CGROUP "/memory.max", text);
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	while (!number(CGROUP "/memory.events", "oom_kill "))
		usleep(50);
	since = now_ms();
	do {
		long left = number(CGROUP "/memory.current", NULL);

		back = left <= before - (long)(k->size * k->victims / 100 * 99) + kept;
		/* Seldom: there is one CPU, and it is the reaper's. */
		if (!back)
			usleep(500);
	} while (!back && now_ms() - since < PATIENCE_MS);

	if (back)
		printf("scale: %s %lu %.3f\n", what, n, now_ms() - since);
	else
		printf("scale: %s %lu never\n", what, n);
	fflush(stdout);
	ioctl(dev, TEST_OOM_REAPER_RELEASE);
	for (i = 0; i < k->victims; i++)
		waitpid(pids[i], NULL, 0);
	while (rmdir(CGROUP))
		usleep(1000);
	close(dev);
}

int main(void)
{
	static const unsigned long sizes[] = { 16, 32, 64, 128, 256, 512, 1024 };
	static const unsigned long vmas[] = { 1, 10, 100, 1000, 3000, 10000, 30000 };
	static const unsigned long subs[] = { 0, 1, 2, 4, 8, 16, 32, 64 };
	unsigned int i;

	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	/* Once for nothing: what is allocated and loaded only once. */
	measure("warm-up", 0, &(struct kind) { 16 * MB, 1, 1 });
	for (i = 0; i < 7; i++)
		measure("size", sizes[i], &(struct kind) { sizes[i] * MB, 1, 1 });
	for (i = 0; i < 7; i++)
		measure("vmas", vmas[i], &(struct kind) { 30000 * PAGE, vmas[i], 1 });
	for (i = 0; i < 7; i++)
		measure("victims", 1 << i, &(struct kind) { 4 * MB, 1, 1 << i });
	for (i = 0; i < 8; i++)
		measure("lists", subs[i], &(struct kind) { 64 * MB, 1, 1, subs[i], LISTS });
	for (i = 0; i < 8; i++)
		measure("refusals", subs[i], &(struct kind) { 256 * MB, 1, 1, subs[i], INTERVALS });
	return 0;
}
