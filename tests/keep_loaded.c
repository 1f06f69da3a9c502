/* Keeps plug-ins loaded until the process ends, so that the leak detector can name the library that each
 * allocation belongs to.  Preloaded by tests/run in builds with sanitizers.
 *
 * SPDX-License-Identifier: BSD-3-Clause */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
