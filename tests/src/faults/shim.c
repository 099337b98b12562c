/* Storage that fails as it is told to: preloaded into a host under test.
 *
 * Counts the storage operations on files below the folder FAULTS_FOLDER, and fails those that the
 * plan in the file FAULTS_CONTROL names. The control file is mapped, so a test can change the plan
 * while the host runs. `mod.rs` writes it and has the same layout.
 *
 * When a sync of a file fails, the pages that were written since its last good sync get their
 * former content back. That is what Linux does to pages that cannot be written back, only sooner:
 * it marks them as clean, and drops them when it needs their memory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, ALLOCATE, KINDS };

/* Layout of the control file: words of 64 bits in the machine's order. */
struct control {
    uint64_t is_armed;     /* the test writes it last */
    uint64_t kinds;        /* a bit for each kind that the plan is about */
    uint64_t first;        /* number of the first operation that fails, counted from 1 since the plan was armed */
    uint64_t count;        /* how many fail in a row */
    uint64_t error;        /* errno of a failed operation; 0: nothing fails */
    uint64_t matched;      /* operations of the plan so far; the shim counts */
    uint64_t failed;       /* operations that failed; the shim counts */
    uint64_t lost;         /* pages whose content was lost; the shim counts */
    uint64_t is_held;      /* while it is not 0, syncs of the plan wait before they begin */
    uint64_t waiting;      /* syncs that wait so; the shim counts */
    uint64_t delay_us;     /* how much longer each sync of the plan takes */
    uint64_t reserved[5];
    char suffix[128];      /* only files whose path ends so; empty: all */
    uint64_t counts[KINDS]; /* all operations below the folder, by kind; the shim counts */
};

#define PAGE 4096
#define BUCKETS 1024
#define FDS 65536

/* The content of a page before it was written to. */
struct page {
    off_t offset;
    struct page *next;
    char bytes[PAGE];
};

/* A file below the folder that is or was open. */
struct file {
    dev_t device;
    ino_t inode;
    /* For reading and writing, and never closed: closing any descriptor of a file ends the process's locks on it. */
    int own;
    struct page *unsynced[BUCKETS];
    struct file *next;
    char path[];
};

static struct control *control;
static char folder[PATH_MAX];
static size_t folder_length;
static struct file *files;
static struct file *open_files[FDS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_rename)(const char *, const char *);
static int (*real_fallocate)(int, int, off_t, off_t);

static void find_real(void) {
    real_open = dlsym(RTLD_NEXT, "open64");
    real_openat = dlsym(RTLD_NEXT, "openat64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_read = dlsym(RTLD_NEXT, "read");
    real_pread = dlsym(RTLD_NEXT, "pread64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate64");
}

/* Before anything else of the program; another library's constructor may open files before this one. */
static void ready(void) {
    if (!real_open)
        find_real();
}

__attribute__((constructor)) static void start(void) {
    ready();
    const char *path = getenv("FAULTS_CONTROL"), *below = getenv("FAULTS_FOLDER");
    if (!path || !below || !realpath(below, folder))
        return;
    folder_length = strlen(folder);
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    real_close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

/* Whether a path is below the folder; relative ones are made absolute in `absolute`. */
static int is_below(int at, const char *path, char *absolute) {
    if (!control || !path)
        return 0;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX)
            return 0;
        strcpy(absolute, path);
    } else {
        char link[64];
        size_t length;
        if (at == AT_FDCWD) {
            if (!getcwd(absolute, PATH_MAX))
                return 0;
            length = strlen(absolute);
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t got = readlink(link, absolute, PATH_MAX - 1);
            if (got < 0)
                return 0;
            length = (size_t)got;
        }
        if (length + strlen(path) + 2 > PATH_MAX)
            return 0;
        absolute[length] = '/';
        strcpy(absolute + length + 1, path);
    }
    return strncmp(absolute, folder, folder_length) == 0
        && (absolute[folder_length] == '/' || absolute[folder_length] == 0);
}

/* Counts an operation; returns its number in the plan, counted from 1, or 0 if the plan is not about it. */
static uint64_t counted(enum kind kind, const char *path) {
    __atomic_add_fetch(&control->counts[kind], 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&control->is_armed, __ATOMIC_SEQ_CST) || !(control->kinds >> kind & 1))
        return 0;
    size_t suffix = strnlen(control->suffix, sizeof control->suffix), length = strlen(path);
    if (suffix > length || memcmp(path + length - suffix, control->suffix, suffix))
        return 0;
    return __atomic_add_fetch(&control->matched, 1, __ATOMIC_SEQ_CST);
}

/* Returns 0, or the errno that the operation with this number in the plan fails with. */
static int error_of(uint64_t number) {
    if (!number || !control->error || number < control->first || number - control->first >= control->count)
        return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    return (int)control->error;
}

static int fails(enum kind kind, const char *path) {
    return error_of(counted(kind, path));
}

static struct file *file_of(int fd) {
    return control && fd >= 0 && fd < FDS ? __atomic_load_n(&open_files[fd], __ATOMIC_ACQUIRE) : NULL;
}

/* What was opened as `fd`, remembered by its inode so that all descriptors of a file are one file. */
static void remember(int fd, const char *path) {
    struct stat status;
    if (fd < 0 || fd >= FDS || fstat(fd, &status))
        return;
    pthread_mutex_lock(&mutex);
    struct file *file = files;
    while (file && (file->device != status.st_dev || file->inode != status.st_ino || strcmp(file->path, path)))
        file = file->next;
    if (!file && (file = calloc(1, sizeof *file + strlen(path) + 1))) {
        file->device = status.st_dev;
        file->inode = status.st_ino;
        file->own = S_ISREG(status.st_mode) ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
        strcpy(file->path, path);
        file->next = files;
        files = file;
    }
    __atomic_store_n(&open_files[fd], file, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&mutex);
}

static struct page **bucket(struct file *file, off_t offset) {
    return &file->unsynced[offset / PAGE % BUCKETS];
}

/* Keeps the former content of the pages that are about to be written to. */
static void keep(struct file *file, off_t offset, size_t length) {
    if (file->own < 0 || offset < 0)
        return;
    pthread_mutex_lock(&mutex);
    for (off_t at = offset - offset % PAGE; at < offset + (off_t)length; at += PAGE) {
        struct page **first = bucket(file, at), *page = *first;
        while (page && page->offset != at)
            page = page->next;
        if (page || !(page = calloc(1, sizeof *page)))
            continue;
        real_pread(file->own, page->bytes, PAGE, at);
        page->offset = at;
        page->next = *first;
        *first = page;
    }
    pthread_mutex_unlock(&mutex);
}

/* A sync has ended: what was written is on the disk, or lost. */
static void settle(struct file *file, int is_lost) {
    struct stat status;
    pthread_mutex_lock(&mutex);
    off_t size = file->own >= 0 && !fstat(file->own, &status) ? status.st_size : 0;
    for (size_t index = 0; index < BUCKETS; index++) {
        while (file->unsynced[index]) {
            struct page *page = file->unsynced[index];
            file->unsynced[index] = page->next;
            if (is_lost && page->offset < size) {
                off_t rest = size - page->offset;
                real_pwrite(file->own, page->bytes, rest < PAGE ? (size_t)rest : PAGE, page->offset);
                control->lost++;
            }
            free(page);
        }
    }
    pthread_mutex_unlock(&mutex);
}

static int failed(int error) {
    errno = error;
    return -1;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX];
    ready();
    if (!is_below(at, path, absolute))
        return real_openat(at, path, flags, mode);
    int error = fails(OPEN, absolute);
    if (error)
        return failed(error);
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0)
        remember(fd, absolute);
    return fd;
}

#define MODE(flags, mode)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list arguments;                                                                                             \
        va_start(arguments, flags);                                                                                    \
        mode = va_arg(arguments, mode_t);                                                                              \
        va_end(arguments);                                                                                             \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(at, path, flags, mode);
}

int close(int fd) {
    ready();
    if (control && fd >= 0 && fd < FDS)
        __atomic_store_n(&open_files[fd], NULL, __ATOMIC_RELEASE);
    return real_close(fd);
}

ssize_t read(int fd, void *bytes, size_t length) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? fails(READ, file->path) : 0;
    return error ? failed(error) : real_read(fd, bytes, length);
}

ssize_t pread64(int fd, void *bytes, size_t length, off_t offset) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? fails(READ, file->path) : 0;
    return error ? failed(error) : real_pread(fd, bytes, length, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) {
    return pread64(fd, bytes, length, offset);
}

/* Before a write of `length` bytes: 0, or the errno that it fails with. */
static int before_write(struct file *file, off_t offset, size_t length) {
    int error = fails(WRITE, file->path);
    if (!error)
        keep(file, offset, length);
    return error;
}

/* Where the next `write` to the descriptor goes. */
static off_t position(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return lseek(fd, 0, flags >= 0 && flags & O_APPEND ? SEEK_END : SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? before_write(file, position(fd), length) : 0;
    return error ? failed(error) : real_write(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? before_write(file, offset, length) : 0;
    return error ? failed(error) : real_pwrite(fd, bytes, length, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    ready();
    struct file *file = file_of(fd);
    size_t length = 0;
    for (int piece = 0; file && piece < count; piece++)
        length += pieces[piece].iov_len;
    int error = file ? before_write(file, position(fd), length) : 0;
    return error ? failed(error) : real_writev(fd, pieces, count);
}

int ftruncate64(int fd, off_t length) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? fails(TRUNCATE, file->path) : 0;
    return error ? failed(error) : real_ftruncate(fd, length);
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

static int synced(int fd, int (*real)(int)) {
    struct file *file = file_of(fd);
    if (!file)
        return real(fd);
    uint64_t number = counted(SYNC, file->path);
    if (number && control->delay_us)
        usleep((useconds_t)control->delay_us);
    if (number && __atomic_load_n(&control->is_held, __ATOMIC_SEQ_CST)) {
        __atomic_add_fetch(&control->waiting, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&control->is_held, __ATOMIC_SEQ_CST))
            usleep(1000);
        __atomic_sub_fetch(&control->waiting, 1, __ATOMIC_SEQ_CST);
    }
    int error = error_of(number);
    int outcome = error ? failed(error) : real(fd);
    int saved = errno;
    settle(file, outcome != 0);
    errno = saved;
    return outcome;
}

int fsync(int fd) {
    ready();
    return synced(fd, real_fsync);
}

int fdatasync(int fd) {
    ready();
    return synced(fd, real_fdatasync);
}

int unlink(const char *path) {
    char absolute[PATH_MAX];
    ready();
    int error = is_below(AT_FDCWD, path, absolute) ? fails(UNLINK, absolute) : 0;
    return error ? failed(error) : real_unlink(path);
}

int rename(const char *from, const char *to) {
    char absolute[PATH_MAX];
    ready();
    int error = is_below(AT_FDCWD, to, absolute) ? fails(RENAME, absolute) : 0;
    return error ? failed(error) : real_rename(from, to);
}

int fallocate64(int fd, int mode, off_t offset, off_t length) {
    ready();
    struct file *file = file_of(fd);
    int error = file ? fails(ALLOCATE, file->path) : 0;
    return error ? failed(error) : real_fallocate(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate64(fd, mode, offset, length);
}

int posix_fallocate64(int fd, off_t offset, off_t length) {
    return fallocate64(fd, 0, offset, length) ? errno : 0;
}

int posix_fallocate(int fd, off_t offset, off_t length) {
    return posix_fallocate64(fd, offset, length);
}
