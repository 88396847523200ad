/* Other programs started from a process whose threads allocate: vfork and exec, posix_spawn, system and popen. The
   parent's blocks are as they were, and the program that was started, this one again, allocates too. */
#include "conformance.h"
#include <spawn.h>
#include <sys/wait.h>

enum { starts = 150, blocks = 200 };
extern char **environ;
static _Atomic int stop;

static void *work(void *number)
{
    uint64_t state = (uint64_t)(uintptr_t)number << 32;
    while (!stop) {
        size_t size = next_random(&state) % 5000;
        char *block = malloc(size);
        fill(block, size, state);
        CHECK(is_filled(block, size, state), "a block of %zu bytes was overwritten", size);
        free(block);
    }
    return NULL;
}

static int as_child(void)
{
    uint64_t state = 5;
    for (int i = 0; i < 300; i++) {
        size_t size = next_random(&state) % 20000;
        char *block = calloc(1, size);
        if (block == NULL || !is_zero(block, size)) return 1;
        free(block);
    }
    return 7;
}

static void expect_seven(pid_t process, const char *how)
{
    int status = -1;
    if (!CHECK(process > 0 && waitpid(process, &status, 0) == process, "%s: errno %d", how, errno)) return;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%s: wait status 0x%x", how, status);
}

int main(int count, char **arguments)
{
    if (count > 1) return as_child();
    char *command[] = {"/proc/self/exe", "child", NULL};
    pthread_t ids[2];
    char *kept[blocks];
    for (int i = 0; i < 2; i++) pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < blocks; i++) fill(kept[i] = malloc(i * i), i * i, i);

    for (int i = 0; i < starts; i++) {
        pid_t process = vfork();
        if (process == 0) {
            execve(command[0], command, environ);
            _exit(127);
        }
        expect_seven(process, "vfork");
        process = -1;
        int failure = posix_spawn(&process, command[0], NULL, NULL, command, environ);
        CHECK(failure == 0, "posix_spawn: error %d", failure);
        expect_seven(process, "posix_spawn");
    }

    char line[500], text[100];
    snprintf(line, sizeof line, "'%s' child", arguments[0]);
    for (int i = 0; i < 20; i++) {
        int status = system(line);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "system: wait status 0x%x", status);
        FILE *pipe = popen("echo from the pipe", "r");
        CHECK(pipe != NULL && fgets(text, sizeof text, pipe) != NULL && strcmp(text, "from the pipe\n") == 0, "popen");
        CHECK(pipe != NULL && pclose(pipe) == 0, "pclose");
    }
    stop = 1;
    for (int i = 0; i < 2; i++) pthread_join(ids[i], NULL);
    for (size_t i = 0; i < blocks; i++) {
        CHECK(is_filled(kept[i], i * i, i), "block %zu was overwritten", i);
        free(kept[i]);
    }
    return finish();
}
