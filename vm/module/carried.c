// SPDX-License-Identifier: GPL-2.0
/* Builds only against the headers of a kernel with the series: for scripts/deb-test. */
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <generated/utsrelease.h>

static char *release = UTS_RELEASE;
module_param(release, charp, 0444);
MODULE_PARM_DESC(release, "the kernel that this was built for");

static int __init carried_init(void)
{
	struct mmu_notifier_refusals refusals = {};

	return refusals.nr;
}
module_init(carried_init);

static void __exit carried_exit(void)
{
	/* As every user of MMU notifiers must: so that the symbols are tested, too. */
	mmu_notifier_synchronize();
}
module_exit(carried_exit);

MODULE_DESCRIPTION("Test of the packages");
MODULE_LICENSE("GPL");
