// SPDX-License-Identifier: GPL-2.0
/*
 * Kills processes that are stuck in random ways, in rounds, while what the kernel
 * allocates fails at random and MMU notifiers refuse. Looks after each round whether
 * the memory came back, nothing is left over, and nobody else's memory was touched.
 * Runs in the VM, see scripts/soak.
 *
 * Usage: soak [-v] seed rounds [minutes]
 *
 * All choices of a round are made from its seed before it begins, and are printed
 * with -v or when it fails. Rounds follow each other's seeds, so that "soak seed 1"
 * makes one of them again. When things happen is another matter.
 *
 * Faults are injected only into the processes that are to be killed, those that kill
 * them, and the OOM reaper. What fails there is part of the game: a victim that
 * could not be set up takes part with what it has.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test_oom_reaper_uapi.h"

#define KB		1024UL
#define MB		(1024 * KB)
#define PAGE		4096UL
#define HUGE_PAGE	(2 * MB)
#define DEVICE		"/dev/test_oom_reaper"
#define TOP		"/sys/fs/cgroup/soak"
#define DELAY		"/proc/sys/vm/oom_reaper_delay_ms"
#define MAX_VICTIMS	8
#define MAX_PARTS	4
#define MAX_THREADS	4
#define MAX_SUBS	3
#define MAX_MUTATORS	2
#define MAX_CHURNS	3
/* What must come comes, however slow the machine. */
#define PATIENCE_MS	90000
/* What may never come, since something failed, is waited for so long. */
#define IMPATIENCE_MS	3000
/* A victim whose memory is back has stacks, page tables, and what CPUs hold in stock. */
#define SLACK_KB	3072
#define EVERYTHING	(1L << 40)

#define LOOK(x)		__atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define TELL(x, value)	__atomic_store_n(&(x), (value), __ATOMIC_RELEASE)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * What a round is made of
 */

enum memory { ANON, PIECES, HUGE, LOCKED, COWED, SWAPPED, SHARED, NR_MEMORY };
static const char * const memory_names[] = {
	"anon", "pieces", "huge", "locked", "file", "swapped", "shared",
};

static const char * const state_names[] = {
	"sleep", "mmap-read", "mmap-write", "mmap-wait", "vma-write", "mutex",
};

static const char * const kind_names[] = { "interval", "start", "both", "end" };
static const char * const behaviour_names[] = {
	"accepts", "refuses", "busy", "refuses-inside", "refuses-outside",
};

enum mutation { FORK, UNMAP, REMAP, PROTECT, COLLAPSE, SUBSCRIBE, NR_MUTATIONS };
static const char * const mutation_names[] = {
	"fork", "munmap", "mremap", "mprotect", "collapse", "subscribe",
};

enum kill { LIMIT, FAULT, MRELEASE, SIGNAL, EXIT, PARENT, NR_KILLS };
static const char * const kill_names[] = {
	"limit", "fault", "mrelease", "sigkill", "exit", "parent's limit",
};

struct victim_plan {
	int		nr_parts, nr_threads, nr_subs, nr_mutators, nr_churns;
	struct { enum memory memory; size_t size; } part[MAX_PARTS];
	struct { int state, sub, gate; bool robust; } thread[MAX_THREADS];
	struct { int kind, behaviour, part; } sub[MAX_SUBS];
	enum mutation	mutator[MAX_MUTATORS];
	/* By another process, at that time after the kill. */
	struct { int sub, us; bool unsubscribe; int behaviour; } churn[MAX_CHURNS];
	bool		aio;		/* blocked in exit_aio() in the end */
	bool		sharer;		/* another process has its mm */
	bool		heir;		/* a child has its memory, copy on write, and lives */
	bool		sibling;	/* somebody else is in its cgroup */
	bool		group;		/* memory.oom.group */
	bool		freeze;
	bool		access;		/* a kernel thread reads its memory */
	/* Is let go soon after it is killed, or while it may not be yet, at these times: */
	bool		early, hasty;
	int		let_go_us[2];
	enum kill	kill;
	int		wait_us;	/* before the kill */
	const char	*limit;
	/* Faults are injected: while it is set up, or from then on, or not. */
	int		inject;
};

struct plan {
	uint32_t		seed;
	int			delay_ms;
	int			fail_slab, fail_page, fail_notifier;	/* in percent */
	bool			inject_killers;
	int			nr;
	struct victim_plan	victim[MAX_VICTIMS];
	int			order[MAX_VICTIMS];	/* in which they are let go */
};

static uint64_t random_state;

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static unsigned int pick(unsigned int n)
{
	random_state += 0x9e3779b97f4a7c15;
	return mix(random_state) % n;
}

static bool chance(unsigned int percent)
{
	return pick(100) < percent;
}

static uint32_t next_seed(uint32_t seed)
{
	return mix(seed + 0x9e3779b97f4a7c15);
}

static void plan_threads(struct victim_plan *v)
{
	bool mmap_lock_taken = chance(45);
	int i;

	v->nr_threads = chance(90) ? 1 + pick(MAX_THREADS - 1) : 0;
	for (i = 0; i < v->nr_threads; i++) {
		v->thread[i].state = TEST_OOM_REAPER_SLEEP;
		v->thread[i].robust = !i && chance(15);
		v->thread[i].gate = chance(15);
		if (v->nr_subs && chance(30)) {
			v->thread[i].state = TEST_OOM_REAPER_MUTEX;
			v->thread[i].sub = pick(v->nr_subs);
			v->thread[i].gate = 1;
		}
	}
	/* Who has the mmap_lock comes last: it keeps others from getting ready. */
	if (!i || !mmap_lock_taken)
		return;
	if (chance(30)) {
		v->nr_threads = i + 1;
		v->thread[i - 1].state = TEST_OOM_REAPER_MMAP_READ;
		v->thread[i].state = TEST_OOM_REAPER_MMAP_WAIT;
		v->thread[i].gate = v->thread[i - 1].gate;
		return;
	}
	switch (pick(3)) {
	case 0:
		v->thread[i - 1].state = TEST_OOM_REAPER_MMAP_READ;
		break;
	case 1:
		v->thread[i - 1].state = TEST_OOM_REAPER_MMAP_WRITE;
		break;
	default:
		v->thread[i - 1].state = TEST_OOM_REAPER_VMA_WRITE;
		v->thread[i - 1].gate = 1;
	}
}

static void plan_victim(struct victim_plan *v, size_t size, bool by_parent)
{
	static const char * const limits[] = { "256K", "1M", "4M" };
	int i;

	v->nr_parts = 1 + pick(MAX_PARTS);
	for (i = 0; i < v->nr_parts; i++) {
		v->part[i].memory = pick(NR_MEMORY);
		v->part[i].size = (1 + pick(size / v->nr_parts / MB)) * MB;
	}
	v->nr_subs = chance(55) ? 1 + pick(MAX_SUBS) : 0;
	for (i = 0; i < v->nr_subs; i++) {
		v->sub[i].kind = pick(TEST_OOM_REAPER_NR_KINDS);
		v->sub[i].behaviour = pick(TEST_OOM_REAPER_REFUSE_OUTSIDE + 1);
		/* Otherwise too little would ever come back. */
		if (v->sub[i].behaviour == TEST_OOM_REAPER_REFUSE && chance(50))
			v->sub[i].behaviour = TEST_OOM_REAPER_ACCEPT;
		if (v->sub[i].kind == TEST_OOM_REAPER_LIST_END)
			v->sub[i].behaviour = TEST_OOM_REAPER_ACCEPT;
		v->sub[i].part = pick(v->nr_parts);
	}
	plan_threads(v);
	v->nr_mutators = chance(50) ? 1 + pick(MAX_MUTATORS) : 0;
	for (i = 0; i < v->nr_mutators; i++)
		v->mutator[i] = pick(NR_MUTATIONS);
	v->nr_churns = v->nr_subs && chance(40) ? 1 + pick(MAX_CHURNS) : 0;
	for (i = 0; i < v->nr_churns; i++) {
		v->churn[i].sub = pick(v->nr_subs);
		v->churn[i].us = pick(30000);
		v->churn[i].unsubscribe = chance(50);
		v->churn[i].behaviour = pick(TEST_OOM_REAPER_REFUSE_BUSY + 1);
	}
	v->aio = chance(20);
	v->sharer = chance(10);
	v->heir = chance(30);
	v->sibling = chance(20);
	v->group = chance(10);
	v->freeze = chance(15);
	v->access = chance(25);
	v->early = chance(40);
	v->hasty = chance(30);
	for (i = 0; i < 2; i++)
		v->let_go_us[i] = pick(chance(50) ? 3000 : 100000);
	v->kill = by_parent ? PARENT : pick(PARENT);
	v->wait_us = chance(50) ? pick(10000) : 0;
	v->limit = limits[pick(ARRAY_SIZE(limits))];
	v->inject = pick(3);
}

/* All of its memory must be kept, since a list notifier refuses it. */
static void make_stubborn(struct victim_plan *v)
{
	v->nr_subs = 1;
	v->sub[0].kind = chance(50) ? TEST_OOM_REAPER_LIST_START : TEST_OOM_REAPER_LIST_BOTH;
	v->sub[0].behaviour = TEST_OOM_REAPER_REFUSE;
	v->sub[0].part = 0;
	v->nr_threads = 1;
	v->thread[0].state = TEST_OOM_REAPER_SLEEP;
	v->thread[0].gate = 0;
	v->nr_mutators = 0;
	v->nr_churns = 0;
	v->heir = false;
	v->sibling = false;
	v->early = false;
}

static void make_plan(struct plan *p, uint32_t seed)
{
	static const int delays[] = { 0, 0, 0, 10, 100, 500, 2000 };
	static const int fails[] = { 0, 1, 1, 5, 20 };
	static const int refusals[] = { 0, 10, 30, 60 };
	bool by_parent;
	int i, j;

	memset(p, 0, sizeof(*p));
	p->seed = seed;
	random_state = seed;
	p->delay_ms = delays[pick(ARRAY_SIZE(delays))];
	p->fail_slab = fails[pick(ARRAY_SIZE(fails))];
	p->fail_page = fails[pick(ARRAY_SIZE(fails))];
	p->fail_notifier = refusals[pick(ARRAY_SIZE(refusals))];
	p->inject_killers = chance(50);
	p->nr = chance(50) ? 1 : 1 + pick(MAX_VICTIMS);
	by_parent = chance(20);
	for (i = 0; i < p->nr; i++) {
		plan_victim(&p->victim[i], (p->nr < 3 ? 16 : 8) * MB, by_parent);
		if (chance(5))
			make_stubborn(&p->victim[i]);
		j = pick(i + 1);
		p->order[i] = p->order[j];
		p->order[j] = i;
	}
}

static void show_plan(const struct plan *p)
{
	int i, j;

	printf("# seed %u: delay %d ms; failslab %d%%, fail_page_alloc %d%%, fail_mmu_notifier %d%%%s; let go:",
	       p->seed, p->delay_ms, p->fail_slab, p->fail_page, p->fail_notifier,
	       p->inject_killers ? ", killers too" : "");
	for (i = 0; i < p->nr; i++)
		printf(" %d", p->order[i]);
	printf("\n");
	for (i = 0; i < p->nr; i++) {
		const struct victim_plan *v = &p->victim[i];

		printf("# victim %d: %s (%s) after %d us;", i, kill_names[v->kill], v->limit, v->wait_us);
		for (j = 0; j < v->nr_parts; j++)
			printf(" %s %luM", memory_names[v->part[j].memory], v->part[j].size / MB);
		for (j = 0; j < v->nr_threads; j++) {
			printf("%s %s", j ? "," : "; threads", state_names[v->thread[j].state]);
			if (v->thread[j].state == TEST_OOM_REAPER_MUTEX)
				printf(" %d", v->thread[j].sub);
			printf("%s%s", v->thread[j].gate ? " at 2nd gate" : "",
			       v->thread[j].robust ? " robust" : "");
		}
		for (j = 0; j < v->nr_subs; j++)
			printf("%s %s %s (part %d)", j ? "," : "; subscriptions", kind_names[v->sub[j].kind],
			       behaviour_names[v->sub[j].behaviour], v->sub[j].part);
		for (j = 0; j < v->nr_mutators; j++)
			printf("%s %s", j ? "," : "; meanwhile", mutation_names[v->mutator[j]]);
		for (j = 0; j < v->nr_churns; j++)
			printf("%s %d %s after %d us", j ? "," : "; changes", v->churn[j].sub,
			       v->churn[j].unsubscribe ? "ends" : behaviour_names[v->churn[j].behaviour],
			       v->churn[j].us);
		printf(";%s%s%s%s%s%s%s%s", v->aio ? " aio" : "", v->sharer ? " sharer" : "",
		       v->heir ? " heir" : "", v->sibling ? " sibling" : "", v->group ? " group" : "",
		       v->freeze ? " frozen" : "", v->access ? " access" : "",
		       v->inject == 2 ? " injected" : v->inject ? " injected at last" : "");
		if (v->early)
			printf(" let go %d and %d us after %s", v->let_go_us[0], v->let_go_us[1],
			       v->hasty ? "that" : "the kill");
		printf("\n");
	}
}

/*
 * Common to all processes
 */

enum thread_stage { NOT_THERE, THERE, LEFT };

/* Shared by all processes, for each victim. */
struct shared {
	int		ready;
	int		turn;		/* so many threads may enter their gates */
	int		go;		/* 1: mutators begin, 2: the faulting thread does */
	int		exit;
	int		over;		/* the heir and the sibling may leave */
	int		stage[MAX_THREADS];
	char		*part[MAX_PARTS];	/* filled */
	uint32_t	subs[MAX_SUBS];
	bool		aio;
	pid_t		sharer, heir;
	int		heir_looked;	/* so often, at all of it */
	int		accessed;	/* so many times by a kernel thread */
	int		mrelease_error;
	int		mrelease_done;
	pthread_mutex_t	robust;
};

struct victim {
	const struct victim_plan *plan;
	struct shared	*sh;
	char		cgroup[64];
	int		gate_fd[2];
	uint32_t	gate[2];
	int		file[MAX_PARTS];
	pid_t		pid, writer, releaser, sibling, churner, accessor;
	int		inside[2];	/* threads and reads at its gates */
	bool		killed;		/* and the OOM reaper sees to it */
	bool		gone;
};

/* What others than the main process report. */
struct report {
	long		wrong;
	char		text[256];
};

static struct plan plan;
static struct victim victims[MAX_VICTIMS];
static struct shared *shared;
static struct report *report;
static bool failed;
/* Victims: so many, so many of them in a gate, killed by the OOM killer, ... */
static struct {
	long		victims, stuck, killed;
	long		back, back_at_last, kept;	/* as was expected */
	long		heirs;
} stats;

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits for a condition, and tells whether it came true. */
#define WAIT_FOR(cond, ms) ({						\
	long _since = now_ms();						\
	bool _true;							\
									\
	while (!(_true = (cond)) && now_ms() - _since < (ms))		\
		usleep(1000);						\
	_true;								\
})

static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("Bail out! seed %u: ", plan.seed);
	vprintf(fmt, args);
	printf(": %m\n");
	exit(1);
}

/* What those are doing who could be to blame: processes in the cgroups, and the reaper. */
static void show_tasks(void)
{
	fflush(stdout);
	/* Not their status: who reads that has the mm for a moment, and may be its last user. */
	system("echo 0 >/sys/kernel/debug/failslab/probability;"
	       " echo 0 >/sys/kernel/debug/fail_page_alloc/probability;"
	       " for t in /proc/[0-9]*/task/*; do"
	       " comm=$(cat $t/comm);"
	       " [ \"$comm\" = oom_reaper ] || grep -q /soak $t/cgroup || continue;"
	       " echo \"# $t $comm:\";"
	       " sed 's/^/#   /' $t/stack;"
	       " done 2>/dev/null");
}

/* What is wrong in this round. */
static void __attribute__((format(printf, 1, 2))) fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# seed %u: ", plan.seed);
	vprintf(fmt, args);
	printf("\n");
	if (!failed)
		show_tasks();
	failed = true;
}

static void __attribute__((format(printf, 1, 2))) accuse(const char *fmt, ...)
{
	va_list args;

	if (__atomic_fetch_add(&report->wrong, 1, __ATOMIC_SEQ_CST))
		return;
	va_start(args, fmt);
	vsnprintf(report->text, sizeof(report->text), fmt, args);
	va_end(args);
}

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	ssize_t ret;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text));
	close(fd);
	return ret < 0 ? -1 : 0;
}

static int write_number(const char *dir, const char *name, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	return write_file(dir, name, text);
}

static char *read_file(const char *dir, const char *name)
{
	static char text[65536];
	char path[128];
	ssize_t len = 0, ret;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && len < (ssize_t)sizeof(text) - 1 &&
	       (ret = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += ret;
	text[len] = 0;
	if (fd >= 0)
		close(fd);
	return text;
}

/* The number behind @key at the start of a line, -1 if there is none. */
static long read_key(const char *dir, const char *name, const char *key)
{
	size_t len = strlen(key);
	char *line = read_file(dir, name);

	while (line) {
		if (!strncmp(line, key, len) && strchr(" \t:", line[len]))
			return strtol(line + len + 1, NULL, 10);
		line = strchr(line, '\n');
		line += !!line;
	}
	return -1;
}

/* The calling thread, and what it starts, is one that faults are injected into. */
static void be_injected(void)
{
	write_file("/proc/thread-self", "make-it-fail", "1");
}

static pid_t start_process(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	return pid;
}

static void end_process(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

/*
 * Memory whose contents are known
 */

static uint64_t stamp_of(uint32_t seed, int part, size_t page)
{
	return mix(((uint64_t)seed << 32) + ((uint64_t)part << 24) + page) | 1;
}

static void stamp(char *mem, size_t size, uint32_t seed, int part)
{
	size_t i;

	for (i = 0; i < size; i += PAGE)
		*(uint64_t *)(mem + i) = stamp_of(seed, part, i / PAGE);
}

static void check_stamps(const char *who, char *mem, size_t size, uint32_t seed, int part)
{
	size_t i;

	for (i = 0; i < size; i += PAGE) {
		uint64_t is = *(volatile uint64_t *)(mem + i);

		if (is != stamp_of(seed, part, i / PAGE))
			accuse("%s: %#lx instead of %#lx in page %zu of part %d", who, is,
			       stamp_of(seed, part, i / PAGE), i / PAGE, part);
	}
}

/* A process that has nothing to do with it all, and rewrites its memory all the time. */
#define BYSTANDERS	2
#define BYSTANDER_PARTS	4
static int *bystander_passes;

static void bystander_page(int who, int part, size_t page, uint64_t *words, int pass)
{
	size_t i;

	for (i = 0; i < PAGE / 8; i++) {
		uint64_t was = mix(((uint64_t)pass << 40) + ((uint64_t)part << 32) + (page << 10) + i);

		if (pass && *(volatile uint64_t *)&words[i] != was) {
			accuse("bystander %d: %#lx instead of %#lx in word %zu of page %zu of part %d",
			       who, words[i], was, i, page, part);
			return;
		}
	}
	for (i = 0; i < PAGE / 8; i++)
		words[i] = mix(((uint64_t)(pass + 1) << 40) + ((uint64_t)part << 32) + (page << 10) + i);
}

static void bystander_main(int who, const char *cgroup)
{
	static const size_t sizes[BYSTANDER_PARTS] = { MB, HUGE_PAGE, MB / 2, MB / 2 };
	uint64_t *mem[BYSTANDER_PARTS];
	int file = memfd_create("bystander", 0);
	int i, pass;
	size_t page;

	prctl(PR_SET_NAME, "bystander");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write_file(cgroup, "cgroup.procs", "0") || file < 0 ||
	    posix_fallocate(file, 0, sizes[2]) ||
	    write_file("/proc/self", "oom_score_adj", "-1000"))
		die("a bystander cannot be set up");
	for (i = 0; i < BYSTANDER_PARTS; i++) {
		mem[i] = mmap(NULL, i == 1 ? 2 * HUGE_PAGE : sizes[i], PROT_READ | PROT_WRITE,
			      i == 2 ? MAP_PRIVATE : MAP_ANONYMOUS | (i == 3 ? MAP_SHARED : MAP_PRIVATE),
			      i == 2 ? file : -1, 0);
		if (mem[i] == MAP_FAILED)
			die("a bystander has no memory");
	}
	mem[1] = (uint64_t *)(((uintptr_t)mem[1] + HUGE_PAGE - 1) & -HUGE_PAGE);
	madvise(mem[1], HUGE_PAGE, MADV_HUGEPAGE);
	for (pass = 0; ; pass++) {
		for (i = 0; i < BYSTANDER_PARTS; i++) {
			for (page = 0; page < sizes[i] / PAGE; page++) {
				bystander_page(who, i, page, mem[i] + page * PAGE / 8, pass);
				if (page % 32 == 31)
					usleep(2000);
			}
		}
		TELL(bystander_passes[who], pass + 1);
	}
}

/*
 * The victim's side
 */

static struct victim *self;

static void close_gates(void)
{
	int i;

	for (i = 0; i < 2 * MAX_VICTIMS; i++)
		if (victims[i / 2].gate_fd[i % 2] > 0)
			close(victims[i / 2].gate_fd[i % 2]);
}

static void map_part(int i)
{
	size_t size = self->plan->part[i].size;
	enum memory memory = self->plan->part[i].memory;
	int flags = memory == SHARED ? MAP_SHARED : MAP_PRIVATE;
	char *mem;
	size_t j;

	/* Reserved with a margin, and used where a huge page could start. */
	mem = mmap(NULL, size + 2 * HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return;
	mem = (char *)(((uintptr_t)mem + 2 * HUGE_PAGE - 1) & -HUGE_PAGE);
	if (memory != COWED)
		flags |= MAP_ANONYMOUS;
	if (mmap(mem, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, self->file[i], 0) == MAP_FAILED)
		return;
	if (memory == PIECES)
		for (j = 0; j < size; j += 256 * KB)
			mprotect(mem + j, 128 * KB, PROT_READ | PROT_WRITE | PROT_EXEC);
	madvise(mem, size, memory == HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	stamp(mem, size, plan.seed, i);
	if (memory == LOCKED)
		mlock(mem, size);
	if (memory == SWAPPED)
		madvise(mem, size, 21 /* MADV_PAGEOUT */);
	TELL(self->sh->part[i], mem);
}

static void subscribe(int dev, int i)
{
	int part = self->plan->sub[i].part;
	uintptr_t mem = (uintptr_t)self->sh->part[part];
	size_t size = self->plan->part[part].size;
	struct test_oom_reaper_sub arg = {
		.gate = self->gate[0],
		.kind = self->plan->sub[i].kind,
		.behaviour = self->plan->sub[i].behaviour,
	};

	if (!mem)
		return;
	if (arg.kind == TEST_OOM_REAPER_INTERVAL) {
		arg.start = mem + size / 4;
		arg.len = size / 2;
	}
	if (arg.behaviour == TEST_OOM_REAPER_REFUSE_INSIDE || arg.behaviour == TEST_OOM_REAPER_REFUSE_OUTSIDE) {
		arg.refuse_start = mem + size / 2;
		arg.refuse_len = PAGE;
	}
	if (!ioctl(dev, TEST_OOM_REAPER_SUBSCRIBE, &arg))
		TELL(self->sh->subs[i], arg.sub);
}

static void *gate_thread(void *arg)
{
	int i = (uintptr_t)arg, state = self->plan->thread[i].state;
	struct test_oom_reaper_enter enter = {
		.gate = self->gate[self->plan->thread[i].gate],
		.state = state,
	};
	int dev = open(DEVICE, O_RDWR);

	if (state == TEST_OOM_REAPER_VMA_WRITE)
		enter.addr = (uintptr_t)self->sh->part[0];
	if (state == TEST_OOM_REAPER_MUTEX)
		enter.sub = self->sh->subs[self->plan->thread[i].sub];
	if (self->plan->thread[i].robust)
		pthread_mutex_lock(&self->sh->robust);
	TELL(self->sh->stage[i], THERE);
	while (LOOK(self->sh->turn) <= i)
		usleep(200);
	ioctl(dev, TEST_OOM_REAPER_ENTER, &enter);
	TELL(self->sh->stage[i], LEFT);
	for (;;)
		pause();
	return NULL;
}

static void *new_area(void)
{
	void *mem = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

static void mutate(enum mutation mutation, int dev)
{
	static __thread char *place;
	char *part = self->sh->part[0];
	size_t size = self->plan->part[0].size;
	struct test_oom_reaper_sub arg;
	char *area;
	pid_t pid;

	switch (mutation) {
	case FORK:
		pid = fork();
		if (!pid) {
			if (part && self->plan->part[0].memory != SHARED)
				stamp(part, size / 4, plan.seed, 0);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
		break;
	case UNMAP:
		area = new_area();
		if (!area)
			break;
		stamp(area, HUGE_PAGE / 2, 0, 0);
		munmap(area + HUGE_PAGE / 4, HUGE_PAGE / 4);
		munmap(area, HUGE_PAGE);
		break;
	case REMAP:
		if (!place) {
			place = new_area();
			if (place)
				stamp(place, HUGE_PAGE, 0, 0);
		}
		area = new_area();
		if (!place || !area)
			break;
		if (mremap(place, HUGE_PAGE, HUGE_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area) == area)
			place = area;
		else
			munmap(area, HUGE_PAGE);
		break;
	case PROTECT:
		if (!part)
			break;
		part += rand() % (size / PAGE) * PAGE;
		mprotect(part, PAGE, PROT_READ);
		mprotect(part, PAGE, PROT_READ | PROT_WRITE);
		break;
	case COLLAPSE:
		if (!place)
			place = new_area();
		if (!place)
			break;
		madvise(place, HUGE_PAGE, MADV_HUGEPAGE);
		stamp(place, HUGE_PAGE, 0, 0);
		madvise(place + PAGE, PAGE, MADV_DONTNEED);
		madvise(place, HUGE_PAGE, 25 /* MADV_COLLAPSE */);
		break;
	case SUBSCRIBE:
		memset(&arg, 0, sizeof(arg));
		arg.gate = self->gate[0];
		arg.kind = rand() % TEST_OOM_REAPER_NR_KINDS;
		if (arg.kind == TEST_OOM_REAPER_INTERVAL) {
			arg.start = rand() % 2 ? (uintptr_t)part : 0;
			arg.len = MB;
		}
		if (!ioctl(dev, TEST_OOM_REAPER_SUBSCRIBE, &arg)) {
			usleep(rand() % 500);
			ioctl(dev, TEST_OOM_REAPER_UNSUBSCRIBE, &arg.sub);
		}
		break;
	default:
		break;
	}
}

static void *mutator_thread(void *arg)
{
	int dev = open(DEVICE, O_RDWR);

	while (!LOOK(self->sh->go))
		usleep(200);
	for (;;) {
		mutate(self->plan->mutator[(uintptr_t)arg], dev);
		usleep(rand() % 300);
	}
	return NULL;
}

static void *fault_thread(void *arg)
{
	while (LOOK(self->sh->go) < 2)
		usleep(200);
	stamp(arg, 64 * MB, 0, 0);
	return NULL;
}

static int sharer_main(void *arg)
{
	for (;;)
		pause();
	return 0;
}

/* A child has all of the victim's memory as well: it must not lose any of it. */
static void heir_main(void)
{
	int i;

	prctl(PR_SET_NAME, "heir");
	prctl(PR_SET_PDEATHSIG, 0);
	if (write_file("/proc/self", "oom_score_adj", "-1000") ||
	    write_file(TOP "/kill", "by/cgroup.procs", "0"))
		_exit(1);
	do {
		for (i = 0; i < self->plan->nr_parts; i++)
			if (self->sh->part[i])
				check_stamps("heir", self->sh->part[i], self->plan->part[i].size, plan.seed, i);
		__atomic_fetch_add(&self->sh->heir_looked, 1, __ATOMIC_SEQ_CST);
		usleep(2000);
	} while (!LOOK(self->sh->over) && getppid() != 1);
	_exit(0);
}

static void submit_read(int dev)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_buf = (uintptr_t)self->sh->part[0],
		.aio_nbytes = 1,
		.aio_fildes = dev,
	}, *iocbs = &iocb;
	aio_context_t context = 0;

	if (!syscall(SYS_io_setup, 1, &context) && !ioctl(dev, TEST_OOM_REAPER_BIND, &self->gate[0]) &&
	    syscall(SYS_io_submit, context, 1, &iocbs) == 1)
		TELL(self->sh->aio, true);
}

static void victim_main(struct victim *v)
{
	static char stack[65536] __attribute__((aligned(16)));
	const struct victim_plan *p = v->plan;
	char *extra = NULL;
	pthread_t thread;
	uintptr_t i;
	pid_t pid;
	int dev;

	self = v;
	srand(plan.seed);
	prctl(PR_SET_NAME, "victim");
	close_gates();
	if (write_file(v->cgroup, "cgroup.procs", "0"))
		_exit(1);
	if (p->inject == 2)
		be_injected();
	dev = open(DEVICE, O_RDWR);
	for (i = 0; i < (unsigned int)p->nr_parts; i++)
		map_part(i);
	for (i = 0; i < (unsigned int)p->nr_subs; i++)
		subscribe(dev, i);
	if (p->heir) {
		pid = fork();
		if (!pid)
			heir_main();
		TELL(v->sh->heir, pid);
	}
	if (p->sharer) {
		pid = clone(sharer_main, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		TELL(v->sh->sharer, pid);
	}
	if (p->kill == FAULT) {
		extra = mmap(NULL, 64 * MB, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (extra != MAP_FAILED)
			pthread_create(&thread, NULL, fault_thread, extra);
	}
	for (i = 0; i < (unsigned int)p->nr_mutators; i++)
		pthread_create(&thread, NULL, mutator_thread, (void *)i);
	for (i = 0; i < (unsigned int)p->nr_threads; i++) {
		if (pthread_create(&thread, NULL, gate_thread, (void *)i))
			TELL(v->sh->stage[i], LEFT);
		while (!LOOK(v->sh->stage[i]))
			usleep(200);
	}
	if (p->aio)
		submit_read(dev);
	if (p->inject == 1)
		be_injected();
	TELL(v->sh->ready, 1);
	while (!LOOK(v->sh->exit))
		usleep(500);
	_exit(0);
}

/*
 * The others who take part
 */

static void churner_main(struct victim *v)
{
	int dev, i;

	close_gates();
	dev = open(DEVICE, O_RDWR);
	for (i = 0; i < v->plan->nr_churns; i++) {
		uint32_t sub = LOOK(v->sh->subs[v->plan->churn[i].sub]);
		struct test_oom_reaper_sub arg = {
			.sub = sub,
			.behaviour = v->plan->churn[i].behaviour,
		};

		usleep(v->plan->churn[i].us);
		if (v->plan->churn[i].unsubscribe)
			ioctl(dev, TEST_OOM_REAPER_UNSUBSCRIBE, &sub);
		else
			ioctl(dev, TEST_OOM_REAPER_BEHAVE, &arg);
	}
	_exit(0);
}

/* Memory that is reaped is never read as zeros. */
static void accessor_main(struct victim *v)
{
	int dev, i;

	close_gates();
	dev = open(DEVICE, O_RDWR);
	for (;;) {
		for (i = 0; i < v->plan->nr_parts; i++) {
			struct test_oom_reaper_access arg = {
				.pid = v->pid,
				.start = (uintptr_t)LOOK(v->sh->part[i]),
				.len = MB,
			};

			/* A page that cannot be swapped in is a long story in the log, each time. */
			if (!arg.start || v->plan->part[i].memory == SWAPPED)
				continue;
			if (ioctl(dev, TEST_OOM_REAPER_ACCESS, &arg) && errno == ESRCH)
				_exit(0);
			TELL(v->sh->accessed, v->sh->accessed + 1);
			if (arg.zero)
				accuse("%llu pages of part %d were read as zeros", arg.zero, i);
			usleep(1000);
		}
		usleep(1000);
	}
}

static void sibling_main(struct victim *v)
{
	char *mem = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	prctl(PR_SET_NAME, "sibling");
	close_gates();
	if (mem == MAP_FAILED || write_file(v->cgroup, "cgroup.procs", "0"))
		_exit(1);
	for (;;) {
		stamp(mem, MB, plan.seed, 99);
		usleep(1000);
		check_stamps("sibling", mem, MB, plan.seed, 99);
	}
}

static void releaser_main(struct victim *v, int pidfd)
{
	close_gates();
	if (plan.inject_killers)
		be_injected();
	do {
		v->sh->mrelease_error = syscall(SYS_process_mrelease, pidfd, 0) ? errno : 0;
		usleep(5000);
	} while (v->sh->mrelease_error == EAGAIN || v->sh->mrelease_error == EINTR);
	TELL(v->sh->mrelease_done, 1);
	_exit(0);
}

/*
 * It tries until the usage is below, or nobody is left to kill, and may meanwhile wait
 * for a callback that waits at a gate. So nobody waits for it before the gates are open.
 */
static void start_writer(struct victim *v, const char *cgroup, const char *limit)
{
	if (v->writer)
		kill(v->writer, SIGKILL);
	v->writer = start_process();
	if (v->writer)
		return;
	close_gates();
	if (plan.inject_killers)
		be_injected();
	_exit(!!write_file(cgroup, "memory.max", limit));
}

/*
 * A round
 */

static long used_kb(struct victim *v)
{
	long memory = atol(read_file(v->cgroup, "memory.current"));

	return (memory + atol(read_file(v->cgroup, "memory.swap.current"))) / KB;
}

static long event(struct victim *v, const char *name)
{
	return read_key(v->cgroup, "memory.events", name);
}

static void tick(int sig)
{
}

static void set_timer(int ms)
{
	struct itimerval timer = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Is somebody in the gate who was not there before? */
static bool entered(struct victim *v, int gate)
{
	uint32_t count = v->inside[gate] + 1;
	bool inside;

	set_timer(10);
	inside = !ioctl(v->gate_fd[gate], TEST_OOM_REAPER_WAIT, &count);
	set_timer(0);
	v->inside[gate] += inside;
	return inside;
}

static void set_up(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	int i;

	if (mkdir(v->cgroup, 0755))
		die("%s", v->cgroup);
	if (p->group)
		write_file(v->cgroup, "memory.oom.group", "1");
	for (i = 0; i < 2; i++) {
		v->gate_fd[i] = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (v->gate_fd[i] < 0 || ioctl(v->gate_fd[i], TEST_OOM_REAPER_GATE, &v->gate[i]))
			die("no gate");
	}
	for (i = 0; i < p->nr_parts; i++) {
		v->file[i] = -1;
		if (p->part[i].memory != COWED)
			continue;
		/* Its own pages are ours, not the victim's. */
		v->file[i] = memfd_create("soak", MFD_CLOEXEC);
		if (v->file[i] < 0 || posix_fallocate(v->file[i], 0, p->part[i].size))
			die("no file");
	}
	v->pid = start_process();
	if (!v->pid)
		victim_main(v);
	if (p->sibling) {
		v->sibling = start_process();
		if (!v->sibling)
			sibling_main(v);
	}
}

static bool dead(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

/* Has the threads enter their gates, as many as come. */
static void get_stuck(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	int i;

	if (!WAIT_FOR(LOOK(v->sh->ready) || dead(v->pid), PATIENCE_MS))
		fail("the victim in %s is never ready", v->cgroup);
	/* Or there would be no need to kill it. */
	write_file(v->cgroup, "memory.swap.max", "0");
	if (!LOOK(v->sh->ready))
		return;
	if (LOOK(v->sh->aio))
		WAIT_FOR(entered(v, 0), IMPATIENCE_MS);
	for (i = 0; i < p->nr_threads; i++) {
		TELL(v->sh->turn, i + 1);
		WAIT_FOR(entered(v, p->thread[i].gate) || LOOK(v->sh->stage[i]) == LEFT || dead(v->pid),
			 IMPATIENCE_MS);
	}
	if (p->freeze)
		write_file(v->cgroup, "cgroup.freeze", "1");
	if (LOOK(v->sh->heir) > 0)
		WAIT_FOR(LOOK(v->sh->heir_looked), IMPATIENCE_MS);
	TELL(v->sh->go, 1);
}

static void strike(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	char limit[24];
	int pidfd;

	if (p->access) {
		v->accessor = start_process();
		if (!v->accessor)
			accessor_main(v);
	}
	usleep(p->wait_us);
	switch (p->kill) {
	case EXIT:
		TELL(v->sh->exit, 1);
		usleep(p->let_go_us[0] % 3000);
		/* fall through */
	case LIMIT:
		start_writer(v, v->cgroup, p->limit);
		break;
	case FAULT:
		snprintf(limit, sizeof(limit), "%ld", atol(read_file(v->cgroup, "memory.current")) + MB);
		start_writer(v, v->cgroup, limit);
		TELL(v->sh->go, 2);
		break;
	case MRELEASE:
		pidfd = syscall(SYS_pidfd_open, v->pid, 0);
		kill(v->pid, SIGKILL);
		if (v->sh->sharer > 0)
			kill(v->sh->sharer, SIGKILL);
		v->releaser = start_process();
		if (!v->releaser)
			releaser_main(v, pidfd);
		close(pidfd);
		break;
	case SIGNAL:
		kill(v->pid, SIGKILL);
		break;
	case PARENT:
		if (v == victims)
			start_writer(v, TOP "/kill", "256K");
		break;
	default:
		break;
	}
	if (p->nr_churns) {
		v->churner = start_process();
		if (!v->churner)
			churner_main(v);
	}
}

static bool mutates(const struct victim_plan *p, enum mutation mutation)
{
	return (p->nr_mutators > 0 && p->mutator[0] == mutation) ||
	       (p->nr_mutators > 1 && p->mutator[1] == mutation);
}

/* Sees to it that the OOM killer kills the victim, if there is one to be killed. */
static void await_kill(struct victim *v)
{
	enum kill kill = v->plan->kill;

	if (kill == SIGNAL || kill == MRELEASE)
		return;
	v->killed = WAIT_FOR(event(v, "oom_kill") > 0 || dead(v->pid), IMPATIENCE_MS) &&
		    event(v, "oom_kill") > 0;
	/* It may have been a child. And whoever is frozen, or waits for a lock, does not fault. */
	if (!v->killed || ((kill == FAULT || kill == PARENT) && (mutates(v->plan, FORK) || v->plan->sibling))) {
		start_writer(v, v->cgroup, "256K");
		v->killed = WAIT_FOR(event(v, "oom_kill") > 0 || dead(v->pid) || dead(v->writer), PATIENCE_MS) &&
			    event(v, "oom_kill") > 0;
	}
}

/*
 * It tries without a pause, and has done what it is for. But if it was somebody else who
 * was killed, the victim is still to come.
 */
static void end_writer(struct victim *v)
{
	if (v->writer && v->killed && !mutates(v->plan, FORK) && !v->plan->sibling)
		kill(v->writer, SIGKILL);
}

static long private_kb(struct victim *v, bool shared_too)
{
	long kb = 0;
	int i;

	for (i = 0; i < v->plan->nr_parts; i++)
		if (LOOK(v->sh->part[i]) && (shared_too || v->plan->part[i].memory != SHARED))
			kb += v->plan->part[i].size / KB;
	return kb;
}

/* What need not come back, though the victim is dead to the world. */
static long kept_kb(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	long kb = SLACK_KB + 128 * (p->nr_threads + p->nr_mutators);

	/* Who has a copy has it for longer. */
	if (mutates(p, FORK) && p->freeze)
		return EVERYTHING;
	if (v->sh->heir > 0)
		kb += private_kb(v, false);
	if (p->sibling)
		kb += 2 * MB / KB;
	return kb + private_kb(v, true) - private_kb(v, false);
}

/* Does the subscription refuse anything, or is about to? */
static bool refuses(struct victim *v, int i)
{
	const struct victim_plan *p = v->plan;
	bool has_mutex = false;
	int j;

	for (j = 0; j < p->nr_threads; j++)
		has_mutex |= p->thread[j].state == TEST_OOM_REAPER_MUTEX && p->thread[j].sub == i;
	return p->sub[i].behaviour >= TEST_OOM_REAPER_REFUSE &&
	       (p->sub[i].behaviour != TEST_OOM_REAPER_REFUSE_BUSY || has_mutex);
}

/* Likewise, as long as nobody stops refusing or opens the second gate. */
static long kept_at_first_kb(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	long kb = kept_kb(v);
	int i;

	if (p->nr_churns)
		return EVERYTHING;
	for (i = 0; i < p->nr_threads; i++)
		if (p->thread[i].state == TEST_OOM_REAPER_VMA_WRITE)
			kb += p->part[0].size / KB;
	for (i = 0; i < p->nr_subs; i++) {
		if (!refuses(v, i))
			continue;
		/* Who changes the mm waits for the mutex, with locks held. */
		if (p->nr_mutators && p->sub[i].behaviour == TEST_OOM_REAPER_REFUSE_BUSY)
			return EVERYTHING;
		if (p->sub[i].kind == TEST_OOM_REAPER_INTERVAL)
			kb += p->part[p->sub[i].part].size / KB;
		else if (p->sub[i].behaviour == TEST_OOM_REAPER_REFUSE_INSIDE)
			kb += 2 * HUGE_PAGE / KB;
		else
			return EVERYTHING;
	}
	return kb;
}

static bool is_stuck(struct victim *v)
{
	return v->inside[0] || v->inside[1];
}

/* A list notifier refuses all of it, and a thread keeps the mm. */
static bool must_stay(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	bool all = false;
	int i;

	for (i = 0; i < p->nr_subs; i++)
		all |= LOOK(v->sh->subs[i]) && p->sub[i].behaviour == TEST_OOM_REAPER_REFUSE &&
		       p->sub[i].kind != TEST_OOM_REAPER_INTERVAL;
	return all && !p->nr_churns && !p->nr_mutators && v->inside[0] > v->sh->aio;
}

static bool is_mmap_state(int state)
{
	return state >= TEST_OOM_REAPER_MMAP_WRITE && state <= TEST_OOM_REAPER_VMA_WRITE;
}

/*
 * process_mrelease() has no way to an mm that has been left, and waits for the mmap_lock
 * if anything is refused without it.
 */
static bool cannot_release(struct victim *v)
{
	int error = LOOK(v->sh->mrelease_error);
	int i;

	for (i = 0; i < v->plan->nr_threads; i++)
		if (is_mmap_state(v->plan->thread[i].state) && LOOK(v->sh->stage[i]) != LEFT)
			return true;
	return LOOK(v->sh->mrelease_done) && error && error != EINVAL;
}

static void expect_back(struct victim *v, long kept, const char *when, long *stat)
{
	bool mrelease = v->plan->kill == MRELEASE;

	if (kept == EVERYTHING || (!mrelease && !v->killed))
		return;
	if (!WAIT_FOR(used_kb(v) <= kept || (mrelease && cannot_release(v)), PATIENCE_MS))
		fail("%s: %ld kB left of %s, not more than %ld kB expected%s%s", when, used_kb(v), v->cgroup,
		     kept, mrelease ? ", process_mrelease(): " : "",
		     mrelease ? strerror(v->sh->mrelease_error) : "");
	*stat += used_kb(v) <= kept && is_stuck(v);
}

static struct test_oom_reaper_counts counts(struct victim *v, int i)
{
	struct test_oom_reaper_counts counts = { .sub = v->sh->subs[i] };

	if (counts.sub && ioctl(v->gate_fd[0], TEST_OOM_REAPER_COUNTS, &counts))
		fail("no counts of subscription %d of %s", i, v->cgroup);
	return counts;
}

static bool has_outcome(struct victim *v)
{
	if (v->plan->kill == MRELEASE)
		return LOOK(v->sh->mrelease_done);
	return !v->killed || event(v, "oom_reap") + event(v, "oom_reap_fail") > 0;
}

/* Those who share memory with it have looked at all of that since it was reaped. */
static void let_others_look(struct victim *v)
{
	int looked, accessed;

	if (v->sh->heir > 0 || v->accessor)
		WAIT_FOR(has_outcome(v) || dead(v->pid), IMPATIENCE_MS);
	looked = LOOK(v->sh->heir_looked);
	accessed = LOOK(v->sh->accessed);
	if (looked)
		WAIT_FOR(LOOK(v->sh->heir_looked) > looked + 1, IMPATIENCE_MS);
	/* The kernel thread may be stuck as well. */
	if (v->accessor)
		WAIT_FOR(LOOK(v->sh->accessed) > accessed + v->plan->nr_parts || dead(v->accessor),
			 IMPATIENCE_MS);
}

/* While it is stuck: is what can be had back, and all after what keeps the rest is gone? */
static void watch(struct victim *v)
{
	const struct victim_plan *p = v->plan;
	int i;

	expect_back(v, kept_at_first_kb(v), "at first", &stats.back);
	if (must_stay(v) && p->kill != SIGNAL && !p->heir) {
		if (v->killed && p->kill != EXIT && !p->sibling &&
		    !WAIT_FOR(event(v, "oom_reap_fail") > 0, PATIENCE_MS))
			fail("%s is not given up", v->cgroup);
		stats.kept++;
		if (used_kb(v) < private_kb(v, false) / 10 * 9)
			fail("%ld kB left of %s, which must be kept", used_kb(v), v->cgroup);
	}
	for (i = 0; i < p->nr_subs; i++) {
		struct test_oom_reaper_sub arg = { .sub = v->sh->subs[i] };

		if (arg.sub)
			ioctl(v->gate_fd[0], TEST_OOM_REAPER_BEHAVE, &arg);
	}
	ioctl(v->gate_fd[1], TEST_OOM_REAPER_RELEASE);
	expect_back(v, kept_kb(v), "at last", &stats.back_at_last);
	let_others_look(v);
	for (i = 0; i < p->nr_subs; i++)
		if (!p->nr_churns && !WAIT_FOR(!counts(v, i).nesting || counts(v, i).released, PATIENCE_MS))
			fail("subscription %d of %s: %u starts without an end", i, v->cgroup, counts(v, i).nesting);
}

static bool removed(struct victim *v)
{
	/* Nobody else: they are waited for by pid. */
	if (v->pid && waitpid(v->pid, NULL, WNOHANG))
		v->pid = 0;
	return !rmdir(v->cgroup) || errno == ENOENT;
}

/* It becomes our child when the victim is gone. */
static void end_heir(struct victim *v)
{
	pid_t heir = LOOK(v->sh->heir);
	int status = 0;

	TELL(v->sh->over, 1);
	if (heir <= 0)
		return;
	if (!WAIT_FOR(waitpid(heir, &status, WNOHANG) == heir, PATIENCE_MS))
		fail("the heir of %s does not exit", v->cgroup);
	if (LOOK(v->sh->heir_looked) && status)
		fail("the heir of %s ended with status %#x", v->cgroup, status);
	stats.heirs += !!v->sh->heir_looked;
}

static void clean_up(struct victim *v)
{
	int i;

	stats.victims++;
	stats.stuck += is_stuck(v);
	stats.killed += event(v, "oom_kill") > 0;

	write_file(v->cgroup, "cgroup.freeze", "0");
	write_file(v->cgroup, "cgroup.kill", "1");
	end_process(&v->writer);
	end_process(&v->releaser);
	end_process(&v->churner);
	end_process(&v->accessor);
	end_process(&v->sibling);
	if (!WAIT_FOR(removed(v), PATIENCE_MS))
		fail("somebody stays in %s: %s", v->cgroup, read_file(v->cgroup, "cgroup.procs"));
	end_heir(v);
	for (i = 0; i < v->plan->nr_subs; i++)
		if (counts(v, i).unpaired)
			fail("subscription %d of %s: %llu ends without a start", i, v->cgroup,
			     counts(v, i).unpaired);
	for (i = 0; i < 2; i++)
		close(v->gate_fd[i]);
	for (i = 0; i < v->plan->nr_parts; i++)
		if (v->file[i] >= 0)
			close(v->file[i]);
}

static void set_injection(int slab, int page, int notifier)
{
	write_number("/sys/kernel/debug/failslab", "probability", slab);
	write_number("/sys/kernel/debug/fail_page_alloc", "probability", page);
	write_number("/sys/kernel/debug/fail_mmu_notifier", "probability", notifier);
}

static void play(void)
{
	pthread_mutexattr_t attr;
	int i;

	memset(victims, 0, sizeof(victims));
	memset(shared, 0, MAX_VICTIMS * sizeof(*shared));
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	write_number("/proc/sys/vm", "oom_reaper_delay_ms", plan.delay_ms);
	for (i = 0; i < plan.nr; i++) {
		struct victim *v = &victims[i];

		v->plan = &plan.victim[i];
		v->sh = &shared[i];
		snprintf(v->cgroup, sizeof(v->cgroup), TOP "/kill/v%d", i);
		pthread_mutex_init(&v->sh->robust, &attr);
	}
	set_injection(plan.fail_slab, plan.fail_page, plan.fail_notifier);
	for (i = 0; i < plan.nr; i++)
		set_up(&victims[i]);
	for (i = 0; i < plan.nr; i++)
		get_stuck(&victims[i]);
	for (i = 0; i < plan.nr; i++)
		strike(&victims[i]);
	for (i = 0; i < plan.nr; i++) {
		struct victim *v = &victims[plan.order[i]];

		if (!v->plan->early)
			continue;
		if (!v->plan->hasty && v->plan->kill != SIGNAL && v->plan->kill != MRELEASE)
			WAIT_FOR(event(v, "oom_kill") > 0 || dead(v->pid), IMPATIENCE_MS);
		usleep(v->plan->let_go_us[0] / plan.nr);
		ioctl(v->gate_fd[0], TEST_OOM_REAPER_RELEASE);
		usleep(v->plan->let_go_us[1] / plan.nr);
		ioctl(v->gate_fd[1], TEST_OOM_REAPER_RELEASE);
	}
	for (i = 0; i < plan.nr; i++)
		if (!victims[i].plan->early)
			await_kill(&victims[i]);
	for (i = 0; i < plan.nr; i++)
		end_writer(&victims[i]);
	for (i = 0; i < plan.nr; i++)
		if (!victims[i].plan->early)
			watch(&victims[i]);
	for (i = 0; i < plan.nr; i++)
		ioctl(victims[plan.order[i]].gate_fd[0], TEST_OOM_REAPER_RELEASE);
	end_process(&victims[0].writer);
	write_file(TOP "/kill", "memory.max", "max");
	for (i = 0; i < plan.nr; i++)
		clean_up(&victims[plan.order[i]]);
	set_injection(0, 0, 0);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/*
 * What is left over
 */

static const char * const caches[] = { "task_struct", "signal_cache", "mm_struct", "vm_area_struct", "anon_vma" };
static long at_start[ARRAY_SIZE(caches)];

/* Threads, or processes, that /proc shows. */
static long alive(bool threads)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	char path[300];
	long nr = 0;

	while (proc && (entry = readdir(proc))) {
		struct stat st;

		if (atoi(entry->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", entry->d_name);
		/* Threads are its subdirectories. */
		nr += !threads ? 1 : stat(path, &st) ? 0 : st.st_nlink - 2;
	}
	closedir(proc);
	return nr;
}

/* Objects in use, less those of the threads and processes that there are. */
static long in_use(int i)
{
	char dir[64];
	long nr;

	/* Those that wait in batches, or for KASAN, are not. */
	snprintf(dir, sizeof(dir), "/sys/kernel/slab/%s", caches[i]);
	write_file(dir, "shrink", "1");
	nr = read_key("/proc", "slabinfo", caches[i]);
	if (nr < 0)
		die("no count of %s: needs CONFIG_SLUB_DEBUG", caches[i]);
	return i < 2 ? nr - alive(!i) : nr;
}

/* A CPU that is idle still has the mm of who ran there last. */
static void visit_cpus(void)
{
	cpu_set_t all, one;
	int cpu;

	sched_getaffinity(0, sizeof(all), &all);
	for (cpu = 0; cpu < 64; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

static bool settled(int i)
{
	long nr = in_use(i);

	if (nr <= at_start[i])
		return true;
	visit_cpus();
	usleep(10000);
	return false;
}

static long nr_cgroups(bool dying)
{
	return read_key(TOP, "cgroup.stat", dying ? "nr_dying_descendants" : "nr_descendants");
}

static bool cgroups_gone(void)
{
	if (!nr_cgroups(true))
		return true;
	/* What CPUs have in batches keeps them, and pages that were swapped out and back in. */
	write_file("/proc/sys/vm", "drop_caches", "1");
	swapoff("/dev/zram0");
	swapon("/dev/zram0", 0);
	usleep(20000);
	return false;
}

static bool device_unused(void)
{
	char *text = read_file("/sys/module/test_oom_reaper", "refcnt");

	return !*text || !atoi(text);
}

static void check_left_over(void)
{
	int passes[BYSTANDERS];
	unsigned int i;

	for (i = 0; i < BYSTANDERS; i++)
		passes[i] = LOOK(bystander_passes[i]);
	if (!WAIT_FOR(waitpid(-1, NULL, WNOHANG) <= 0 && device_unused(), PATIENCE_MS))
		fail("the driver is in use %s times", read_file("/sys/module/test_oom_reaper", "refcnt"));
	if (!WAIT_FOR(cgroups_gone(), PATIENCE_MS))
		fail("%ld cgroups are left dying", nr_cgroups(true));
	if (nr_cgroups(false) != 3)
		fail("%ld cgroups instead of 3", nr_cgroups(false));
	for (i = 0; i < ARRAY_SIZE(caches); i++)
		if (!WAIT_FOR(settled(i), PATIENCE_MS))
			fail("%ld more of %s than before", in_use(i) - at_start[i], caches[i]);
	/* What they had written during the round has been looked at. */
	for (i = 0; i < BYSTANDERS; i++)
		if (!WAIT_FOR(LOOK(bystander_passes[i]) > passes[i] + 1, PATIENCE_MS))
			fail("bystander %d does not go on", i);
	if (report->wrong)
		fail("%ld times wrong memory, at first: %s", report->wrong, report->text);
}

static void note_start(void)
{
	unsigned int i;
	int times;
	long nr;

	for (i = 0; i < ARRAY_SIZE(caches); i++) {
		at_start[i] = 1L << 40;
		for (times = 0; times < 10; times++) {
			nr = in_use(i);
			if (nr < at_start[i])
				at_start[i] = nr;
			visit_cpus();
			usleep(10000);
		}
		printf("# %s: %ld at the start\n", caches[i], at_start[i]);
	}
}

static void show_kernel_log(void)
{
	static char text[1 << 20];
	int len = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, sizeof(text) - 1);
	char *line, *from;

	text[len > 0 ? len : 0] = 0;
	from = text + (len > 12000 ? len - 12000 : 0);
	for (line = strtok(from, "\n"); line; line = strtok(NULL, "\n"))
		printf("# kernel: %s\n", line);
}

static bool set_up_swap(void)
{
	static char header[PAGE];
	uint32_t *info = (uint32_t *)(header + 1024);
	int fd;

	if (write_file("/sys/block/zram0", "disksize", "128M"))
		return false;
	info[0] = 1;
	info[1] = 128 * MB / PAGE - 1;
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	fd = open("/dev/zram0", O_WRONLY);
	if (fd < 0 || write(fd, header, PAGE) != PAGE || close(fd))
		return false;
	return !swapon("/dev/zram0", 0);
}

#define MANY	1000000000

static void set_up_injection(void)
{
	static const char * const dirs[] = { "failslab", "fail_page_alloc", "fail_mmu_notifier" };
	struct dirent *entry;
	char dir[300];
	unsigned int i;
	DIR *proc;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(dir, sizeof(dir), "/sys/kernel/debug/%s", dirs[i]);
		if (write_number(dir, "times", MANY))
			die("%s is missing in the kernel", dirs[i]);
		write_file(dir, "verbose", "0");
		if (i == 2)
			continue;
		write_file(dir, "task-filter", "Y");
		write_file(dir, "ignore-gfp-wait", "N");
		write_file(dir, "ignore-gfp-highmem", "N");
		write_file(dir, "min-order", "0");
	}
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		snprintf(dir, sizeof(dir), "/proc/%s", entry->d_name);
		if (!strcmp(read_file(dir, "comm"), "oom_reaper\n"))
			write_file(dir, "make-it-fail", "1");
	}
	closedir(proc);
}

static long injected(const char *dir)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", dir);
	return MANY - atol(read_file(path, "times"));
}

static void start_bystander(int who, const char *cgroup)
{
	pid_t pid;

	if (mkdir(cgroup, 0755) && errno != EEXIST)
		die("%s", cgroup);
	pid = start_process();
	if (!pid)
		bystander_main(who, cgroup);
	if (!WAIT_FOR(LOOK(bystander_passes[who]) > 1 || dead(pid), PATIENCE_MS) || dead(pid))
		die("bystander %d does not start", who);
}

static void *map_shared(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("no memory");
	return mem;
}

int main(int argc, char *argv[])
{
	static const char * const vmstats[] = {
		"oom_kill", "oom_reap_victim", "oom_reap_page", "oom_reap_refused", "oom_reap_gave_up",
	};
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	bool verbose = argc > 1 && !strcmp(argv[1], "-v");
	long since = now_ms(), began;
	int rounds, minutes, round;
	unsigned int i;
	uint32_t seed;

	argc -= verbose;
	argv += verbose;
	if (argc < 3) {
		fprintf(stderr, "usage: soak [-v] seed rounds [minutes]\n");
		return 2;
	}
	seed = strtoul(argv[1], NULL, 10);
	rounds = atoi(argv[2]);
	minutes = argc > 3 ? atoi(argv[3]) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n# seed %u\n", seed);
	sigaction(SIGALRM, &action, NULL);
	/* Who loses its parent is ours. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (access(DEVICE, F_OK) && system("modprobe test_oom_reaper"))
		die("no " DEVICE);
	shared = map_shared(MAX_VICTIMS * sizeof(*shared));
	report = map_shared(sizeof(*report));
	bystander_passes = map_shared(BYSTANDERS * sizeof(int));
	mkdir(TOP, 0755);
	if (write_file(TOP, "cgroup.subtree_control", "+memory") ||
	    (mkdir(TOP "/kill", 0755) && errno != EEXIST) || write_file(TOP "/kill", "cgroup.subtree_control", "+memory"))
		die(TOP);
	if (!set_up_swap())
		die("cannot swap to zram0");
	start_bystander(0, TOP "/by");
	start_bystander(1, TOP "/kill/by");
	/* Nothing of it can be reclaimed when the limit above it is lowered. */
	write_file(TOP "/kill/by", "memory.swap.max", "0");
	set_up_injection();
	note_start();

	for (round = 1; round <= rounds && !failed; round++) {
		if (minutes && now_ms() - since > minutes * 60000L)
			break;
		began = now_ms();
		make_plan(&plan, seed);
		printf("# round %d: seed %u\n", round, seed);
		if (verbose)
			show_plan(&plan);
		play();
		check_left_over();
		if (failed && !verbose)
			show_plan(&plan);
		if (failed)
			show_kernel_log();
		printf("%sok %d seed %u: %d victims, %ld ms\n", failed ? "not " : "", round, seed, plan.nr,
		       now_ms() - began);
		seed = next_seed(seed);
	}
	round--;
	printf("# %d rounds, %ld s; injected: %ld of kmalloc, %ld of pages, %ld refusals\n", round,
	       (now_ms() - since) / 1000, injected("failslab"), injected("fail_page_alloc"),
	       injected("fail_mmu_notifier"));
	printf("# %ld victims, %ld stuck, %ld killed by the OOM killer\n", stats.victims, stats.stuck,
	       stats.killed);
	printf("# while stuck: %ld seen back, %ld at last, %ld kept; %ld heirs\n", stats.back,
	       stats.back_at_last, stats.kept, stats.heirs);
	for (i = 0; i < ARRAY_SIZE(vmstats); i++)
		printf("# %s %ld\n", vmstats[i], read_key("/proc", "vmstat", vmstats[i]));
	if (!failed && !access("/sys/module/test_oom_reaper/refcnt", F_OK)) {
		round++;
		if (syscall(SYS_delete_module, "test_oom_reaper", O_NONBLOCK)) {
			failed = true;
			printf("not ");
		}
		printf("ok %d the driver can be unloaded\n", round);
	}
	printf("1..%d\n", round);
	swapoff("/dev/zram0");
	write_file("/sys/block/zram0", "reset", "1");
	return failed;
}
