#if Foundation
    public import Foundation
    public import Mallow
#endif
