#include <stdio.h>
#include "earshot.h"
int main(void)
{
    printf("earshot %s\n", earshot_version());
    return 0;
}
