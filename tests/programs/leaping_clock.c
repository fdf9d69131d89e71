/* To be preloaded: the time of day leaps by an hour at each reading, ahead and back by turns. Other clocks are right. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static unsigned readings;
    long result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        time->tv_sec += __atomic_fetch_add(&readings, 1, __ATOMIC_RELAXED) % 2 ? -3600 : 3600;
    return result;
}
