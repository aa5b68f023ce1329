// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the selftest oom_reaper, passes on what it prints, and prints how much its
 * first victim's cgroup is charged for, from the kill to the selftest's result:
 * lines "sample: ms kB". See scripts/compare.
 */
#define _GNU_SOURCE
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS		2
#define MAX_SAMPLES	20000
/* What is worth a line. */
#define CHANGE_KB	256
#define PAUSE_MS	100

static struct sample {
	double ms;
	long kb;
} samples[MAX_SAMPLES];
static int nr;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

/* The first number, or the one behind @key; -1 if there is none. */
static long number(const char *dir, const char *name, const char *key)
{
	char path[512], text[4096], *p = text;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = 0;
	if (key) {
		p = strstr(text, key);
		if (!p)
			return -1;
		p += strlen(key);
	}
	return strtol(p, NULL, 10);
}

static int find_cgroup(char *dir, size_t size)
{
	glob_t found;
	int ret;

	ret = glob("/sys/fs/cgroup/oom_reaper.*.0", 0, NULL, &found);
	if (ret == GLOB_NOMATCH)
		ret = glob("/sys/fs/cgroup/oom_reaper.*/oom_reaper.*.0", 0, NULL, &found);
	if (!ret)
		snprintf(dir, size, "%s", found.gl_pathv[0]);
	globfree(&found);
	return !ret;
}

static void take_sample(const char *dir, double since)
{
	long kb = number(dir, "memory.current", NULL);
	long swapped = number(dir, "memory.swap.current", NULL);

	if (kb < 0 || nr == MAX_SAMPLES)
		return;
	samples[nr].ms = now_ms() - since;
	samples[nr++].kb = (kb + (swapped > 0 ? swapped : 0)) / 1024;
}

/* Passes on what there is to read. Was the result in it? */
static int pass_on(int fd, int *open)
{
	static char last[16];
	char text[4096 + 16];
	size_t kept = strlen(last);
	ssize_t len;

	memcpy(text, last, kept);
	len = read(fd, text + kept, 4096);
	if (len <= 0) {
		*open = 0;
		return 0;
	}
	if (write(1, text + kept, len) != len)
		die("write");
	len += kept;
	text[len] = 0;
	kept = len < 15 ? len : 15;
	memcpy(last, text + len - kept, kept + 1);
	return !!strstr(text, "# result: ");
}

int main(int argc, char **argv)
{
	int killed = 0, result = 0, open = 1, status, out[2], i;
	double since = 0, shown = -PAUSE_MS;
	long shown_kb = 0;
	char dir[256] = "";
	pid_t pid;

	if (argc < 2 || pipe(out))
		die("usage: sample COMMAND...");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(out[0]);
		close(out[1]);
		execv(argv[1], argv + 1);
		die(argv[1]);
	}
	close(out[1]);
	while (open) {
		struct pollfd fd = { .fd = out[0], .events = POLLIN };
		int busy = dir[0] && !result;

		if (poll(&fd, 1, busy ? STEP_MS : 20) > 0)
			result |= pass_on(out[0], &open);
		if (result)
			continue;
		if (!dir[0] && !find_cgroup(dir, sizeof(dir)))
			continue;
		if (!killed && number(dir, "memory.events", "oom_kill ") > 0) {
			killed = 1;
			since = now_ms();
		}
		/* Until then there is but one: what it had before. */
		if (!killed)
			nr = 0;
		take_sample(dir, killed ? since : now_ms());
	}
	waitpid(pid, &status, 0);
	for (i = 0; i < nr && killed; i++) {
		long change = labs(samples[i].kb - shown_kb);

		if (i && i < nr - 1 && change < CHANGE_KB && samples[i].ms - shown < PAUSE_MS)
			continue;
		printf("sample: %.1f %ld\n", samples[i].ms, samples[i].kb);
		shown = samples[i].ms;
		shown_kb = samples[i].kb;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
