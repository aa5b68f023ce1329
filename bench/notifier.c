// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what a blocking MMU notifier range costs, a line for each number of
 * list notifiers and of interval notifiers: the two numbers, and the cycles of
 * one start and its end. Runs in the VM, see scripts/bench-notifier.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_oom_reaper_uapi.h"

static const unsigned int lists[] = { 0, 1, 2, 8 };
static const unsigned int intervals[] = { 0, 1, 8 };

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* In a process of its own, since an mm stays marked as one with subscriptions. */
static int measure(int dev, unsigned int nr_lists, unsigned int nr_intervals)
{
	struct test_oom_reaper_bench bench = {
		.lists = nr_lists,
		.intervals = nr_intervals,
	};
	pid_t child = fork();
	int status;

	if (child < 0)
		return -1;
	if (child)
		return waitpid(child, &status, 0) == child ? status : -1;
	if (ioctl(dev, TEST_OOM_REAPER_BENCH, &bench)) {
		fprintf(stderr, "TEST_OOM_REAPER_BENCH: %s\n", strerror(errno));
		_exit(1);
	}
	printf("pair %u %u %.1f\n", nr_lists, nr_intervals,
	       (double)bench.cycles / TEST_OOM_REAPER_BENCH_PAIRS);
	fflush(stdout);
	_exit(0);
}

int main(void)
{
	int dev = open("/dev/test_oom_reaper", O_RDWR);
	unsigned int l, i;

	if (dev < 0) {
		perror("/dev/test_oom_reaper");
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(intervals); i++)
		for (l = 0; l < ARRAY_SIZE(lists); l++)
			if (measure(dev, lists[l], intervals[i]))
				return 1;
	return 0;
}
